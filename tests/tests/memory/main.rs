//! The whole mesh on the bus in this process, in real time and over outages.

mod crowd;
mod outage;
