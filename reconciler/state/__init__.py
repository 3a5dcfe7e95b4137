"""The state: an append-only log of hash-chained frames, the stores that hold it, and what it adds up to.

- events: what a frame can say
- frames: one line of the log, sealed and parsed
- chain: lines into verified frames
- fold: frames into the projection; statuses computes the status of every id
- stores: where the lines live: a folder of its own, one module a store
- placing: one line at one position, beyond doubt
- journal: a store, its chain and its fold: load, append
- run: the lock in the log; unsaved keeps outcomes that could not be recorded
- history: everything the log says of one id
"""
