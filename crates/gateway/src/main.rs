//! The binary `tidegate`: see `tidegate help`.

use std::process::ExitCode;

/// Many small allocations of many sizes live long beside each other here: mimalloc keeps them apart.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::cli::main()
}
