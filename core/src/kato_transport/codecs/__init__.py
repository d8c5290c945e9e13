"""The codecs that come with core: MessagePack, which KATO's peers speak, and JSON."""
