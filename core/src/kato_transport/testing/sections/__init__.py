"""The sections of the conformance kit, one idea each; a class of tests, to be inherited."""
