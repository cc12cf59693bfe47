mod compile;
mod programs;
mod programs_async;
