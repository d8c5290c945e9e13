"""Protocol logic without sockets, threads or clocks: facts and `now` go in, decisions come out."""
