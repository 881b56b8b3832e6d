//! What a user writes: the types of the file, how it is read, and every fault in it with its place.
