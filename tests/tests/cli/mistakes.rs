//! Mistakes that people make, and every word that they are told about them.
//!
//! Each test writes a transcript: what was typed, the exit code, and what was said. It must be the one that is kept in
//! `mistakes/*.golden`. After a change of a message, run the tests with `MISTAKES_REWRITE=1`, which writes the files anew, and
//! read the difference as somebody would who has just made the mistake: it should say what is wrong, where, and what to do.

mod cases;
mod connecting;
mod constructs;
mod definitions;
mod local;
mod lookups;
mod requests;
mod settings;
mod transcript;
mod up;
mod usage;
