//! database  a database in memory, with the semantics of the statements. process: a machine, its network and its users
//! world     several processes on one database, and what must always be true. program: random programs of inputs
//! Each of the other files proves rules of the machine one by one, against answers written by hand.

mod database;
mod deadlines;
mod drive;
mod passing;
mod process;
mod program;
mod reconnects;
mod shutdown;
mod waiting;
mod withdrawn;
mod world;
