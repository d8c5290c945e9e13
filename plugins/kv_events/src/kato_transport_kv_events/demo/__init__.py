"""What `kato-transport demo` shows of KV-cache events: `engine` is a process that publishes, `scene` follows it, kills it and
tells what became of it.
"""
