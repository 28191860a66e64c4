//! What Pico's machines should do, said as plainly as possible: slow, whole, and written from the
//! specifications instead of the code. Each model is held against its machine.

pub mod http;
pub mod rpc;
