//! Bytes to frames and back: Thrift Binary, TTHeader, framed and buffered messages.
//! Pure functions and resumable parsers; no I/O, no clock, no unsafe.
