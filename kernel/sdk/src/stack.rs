//! An alternate signal stack for each thread of an instance's runtime.
//!
//! Threads made by a library's std have none, so a stack overflow on them could not be attributed to anybody.
#![allow(unsafe_code, reason = "sigaltstack and mmap have no safe wrapper among the allowed crates")]

use std::cell::Cell;
use std::ptr;

const STACK_BYTES: usize = 64 * 1024;

thread_local! {
    static STACK: Cell<*mut libc::c_void> = const { Cell::new(ptr::null_mut()) };
}

/// Gives the current thread an alternate signal stack; without memory for it the thread goes on without.
pub(crate) fn install() {
    // SAFETY: a fresh private mapping that nobody else knows; `remove` unmaps it on this same thread.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory =
            libc::mmap(ptr::null_mut(), STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if memory == libc::MAP_FAILED {
            return;
        }
        let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: STACK_BYTES };
        if libc::sigaltstack(&stack, ptr::null_mut()) == 0 {
            STACK.set(memory);
        } else {
            libc::munmap(memory, STACK_BYTES);
        }
    }
}

/// Takes the alternate stack away again; called by the same thread before it ends.
pub(crate) fn remove() {
    let memory = STACK.replace(ptr::null_mut());
    if memory.is_null() {
        return;
    }
    // SAFETY: `memory` is the mapping that `install` made on this thread; disabling comes before unmapping.
    unsafe {
        let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        if libc::sigaltstack(&off, ptr::null_mut()) == 0 {
            libc::munmap(memory, STACK_BYTES);
        }
    }
}
