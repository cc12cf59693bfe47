mod hostile;
mod model;
mod single;
mod succession;
