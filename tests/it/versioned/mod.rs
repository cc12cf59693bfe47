mod cell;
mod linear;
mod map;
mod model;
mod stamp;
mod wait;
