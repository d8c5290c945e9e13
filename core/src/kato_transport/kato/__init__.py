"""KATO's message contract: its methods, the words of both eras, and the service that answers them."""
