mod assertions;
mod faults;
mod single;
mod time;
mod workflows;
