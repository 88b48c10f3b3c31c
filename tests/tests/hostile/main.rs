//! Conditions that an operator must reckon with: a full disk, users that may not do everything, clocks that jump, names
//! that lead nowhere, a server that is slow. Each is told in words, holds work up without losing any, and is over when it
//! is over, without anything being started again.

mod denied;
mod full;
mod names;
mod payload;
mod slow;
mod support;
