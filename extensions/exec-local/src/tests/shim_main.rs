//! The shim of host-bin as a program of its own, so that tests here run what hosts run.

#[path = "../../../../host-bin/src/exec_shim.rs"]
mod exec_shim;

fn main() -> ! {
    exec_shim::main(std::env::args_os().skip_while(|arg| arg != "exec-shim").skip(1).collect())
}
