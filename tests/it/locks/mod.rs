mod bounded;
mod fence;
mod linear;
mod model;
mod mutex;
mod rwlock;
mod semaphore;
