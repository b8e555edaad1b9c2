//! Where the interpreter's small objects lie: the memory that it asks for in arenas of 1 MiB, two of them to a huge page.
//!
//! The kernel gives such memory 4 KiB at a time, with a fault for each: some hundred at every start, thousands for an
//! import of the SDK. A huge page is one fault. Where the kernel has none (`never` in
//! `/sys/kernel/mm/transparent_hugepage/enabled`), or none left, the memory is ordinary.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel};

use super::api::{ArenaAllocator, PyObject_SetArenaAllocator};

unsafe extern "C" {
    fn mmap(
        at: *mut c_void,
        size: usize,
        access: c_int,
        kind: c_int,
        file: c_int,
        offset: c_long,
    ) -> *mut c_void;
    fn munmap(at: *mut c_void, size: usize) -> c_int;
    fn madvise(at: *mut c_void, size: usize, advice: c_int) -> c_int;
}

/// An arena of CPython 3.10 and later; others are given what they ask for, without huge pages.
const ARENA: usize = 1 << 20;
const HUGE_PAGE: usize = 2 * ARENA;

/// The half of a huge page that nobody has asked for yet.
static SPARE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// To be called before the interpreter starts.
pub fn use_huge_pages() {
    let allocator = ArenaAllocator {
        context: ptr::null_mut(),
        allocate,
        free,
    };
    // SAFETY: the interpreter copies the struct, whose functions are there as long as the program is.
    unsafe { PyObject_SetArenaAllocator(&allocator) };
}

unsafe extern "C" fn allocate(_context: *mut c_void, size: usize) -> *mut c_void {
    if size != ARENA {
        return map(size);
    }
    let spare = SPARE.swap(ptr::null_mut(), AcqRel);
    if !spare.is_null() {
        return spare;
    }
    let Some(page) = huge_page() else {
        return map(size);
    };
    // SAFETY: the second half of what was just mapped.
    let second = unsafe { page.byte_add(ARENA) };
    let lost = SPARE.swap(second, AcqRel);
    if !lost.is_null() {
        // SAFETY: another thread's spare half, which nobody has seen.
        unsafe { munmap(lost, ARENA) };
    }
    page
}

unsafe extern "C" fn free(_context: *mut c_void, arena: *mut c_void, size: usize) {
    // SAFETY: what `allocate` has returned, with the size that was asked for; the other half of its page stays.
    unsafe { munmap(arena, size) };
}

/// Memory at a multiple of a huge page's size. The kernel chooses no such place by itself, so more is mapped and cut.
fn huge_page() -> Option<*mut c_void> {
    const MADV_HUGEPAGE: c_int = 14;
    let mapped = map(2 * HUGE_PAGE);
    if mapped.is_null() {
        return None;
    }
    let before = mapped.addr().next_multiple_of(HUGE_PAGE) - mapped.addr();
    // SAFETY: all of it lies in what was just mapped and nobody uses, and the page itself is not unmapped.
    unsafe {
        let page = mapped.byte_add(before);
        if before > 0 {
            munmap(mapped, before);
        }
        munmap(page.byte_add(HUGE_PAGE), HUGE_PAGE - before);
        madvise(page, HUGE_PAGE, MADV_HUGEPAGE);
        Some(page)
    }
}

/// Zeroed memory; null when there is none.
fn map(size: usize) -> *mut c_void {
    const PROT_READ_WRITE: c_int = 1 | 2;
    const MAP_PRIVATE_ANONYMOUS: c_int = 0x02 | 0x20;
    // SAFETY: new memory, which nothing else knows of.
    let mapped = unsafe {
        mmap(
            ptr::null_mut(),
            size,
            PROT_READ_WRITE,
            MAP_PRIVATE_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapped.addr() == usize::MAX {
        return ptr::null_mut();
    }
    mapped
}
