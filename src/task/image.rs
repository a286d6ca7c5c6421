//! A function as a number that means the same in every process that runs this executable.
//!
//! A task travels as the distance of its entry, a monomorphised function of the type [`Entry`], from the place where the
//! main image was loaded. Only a process that runs the same image may turn the number back: the handshake of a worker
//! compares [`identity`]. The parent never turns a number that a worker sent into a pointer.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::hash::Hasher;
use std::ops::Range;
use std::sync::OnceLock;

use super::envelope::Envelope;
use super::{Call, Payload};
use crate::error::{Error, ErrorKind, Result};

/// Reads the arguments, calls the function, and writes its value.
pub(crate) type Entry = fn(Envelope) -> Result<Envelope>;

/// The number of the entry for `F`, called with `A`.
///
/// Compiles only for functions and closures that capture nothing.
pub(crate) fn entry_of<F, A, M>() -> Result<u64>
where
    F: Call<A, M> + Copy + Send + Sync + 'static,
    A: Payload,
    F::Output: Payload,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "only a function or a closure that captures nothing can run in another process: pass what it needs as \
             an argument (a function pointer captures too: name the function itself)"
        )
    }
    offset(enter::<F, A, M> as Entry as usize)
}

fn enter<F, A, M>(args: Envelope) -> Result<Envelope>
where
    F: Call<A, M> + Copy + Send + Sync + 'static,
    A: Payload,
    F::Output: Payload,
{
    let args: A = args.unpack("argument")?;
    // SAFETY: `F` has no bytes to initialise (checked in `entry_of`, the only place that names this function), a value of
    // it was at hand where the task was submitted, and it is `Copy`, so one more may be made.
    let function = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    Envelope::pack(&function.call(args), "value")
}

fn offset(entry: usize) -> Result<u64> {
    if holds(entry) {
        Ok((entry - image().base) as u64)
    } else {
        Err(Error::new(ErrorKind::Unsupported)
            .with_message("the function lies in a shared library, not in the executable itself"))
    }
}

/// Whether an address lies in the code of the main image.
pub(crate) fn holds(address: usize) -> bool {
    image().code.iter().any(|code| code.contains(&address))
}

/// The entry that a parent running the same image meant.
pub(crate) fn resolve(offset: u64) -> Option<Entry> {
    let address = image().base.checked_add(usize::try_from(offset).ok()?)?;
    if !holds(address) {
        return None;
    }
    // SAFETY: the number came from `entry_of` in a process that runs the same image (the handshake has compared
    // `identity`, and only a worker, which was started by that process, resolves), so an `Entry` begins at this address.
    Some(unsafe { std::mem::transmute::<usize, Entry>(address) })
}

/// A number that differs between executables: a hash of the build id where the linker left one, and of the layout.
pub(crate) fn identity() -> u64 {
    image().identity
}

struct Image {
    base: usize,
    code: Vec<Range<usize>>,
    identity: u64,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image { base: 0, code: Vec::new(), identity: 0 };
        // SAFETY: `look` is called during this call only, with the pointer given here, which is to a live `Image` that
        // nothing else refers to meanwhile.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut image).cast()) };
        image
    })
}

/// Reads the first object that the loader lists, which is the main image, and ends the listing.
unsafe extern "C" fn look(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives a valid `info` for the time of this call; `data` is the `Image` of `image()`.
    let (info, image) = unsafe { (&*info, &mut *data.cast::<Image>()) };
    // SAFETY: the loader's program headers are `dlpi_phnum` in number and live as long as the image.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    // Not `DefaultHasher::default()` of a random state: both processes must come to the same number.
    let mut hasher = std::hash::DefaultHasher::new();
    image.base = info.dlpi_addr as usize;
    for header in headers {
        hasher.write_u64(header.p_vaddr);
        hasher.write_u64(header.p_memsz);
        let start = image.base + header.p_vaddr as usize;
        let range = start..start + header.p_memsz as usize;
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
            image.code.push(range);
        } else if header.p_type == libc::PT_NOTE {
            // SAFETY: a note segment is part of a loaded, readable segment of the image.
            let note = unsafe { std::slice::from_raw_parts(start as *const u8, range.len()) };
            hasher.write(note);
        }
    }
    image.identity = hasher.finish();
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(n: u32) -> u32 {
        n * 2
    }

    fn number<F, M>(_: F) -> u64
    where
        F: Call<u32, M, Output = u32> + Copy + Send + Sync + 'static,
    {
        entry_of::<F, u32, M>().unwrap()
    }

    #[test]
    fn an_entry_is_found_again() {
        for number in [number(double), number(|n| n * 2)] {
            let entry = resolve(number).unwrap();
            let value = entry(Envelope::pack(&21u32, "argument").unwrap()).unwrap();
            assert_eq!(value.unpack::<u32>("value").unwrap(), 42);
        }
    }

    #[test]
    fn a_number_outside_the_code_is_no_entry() {
        assert!(resolve(u64::MAX).is_none());
        assert!(resolve(0).is_none());
        assert!(offset(libc::getpid as *const () as usize).is_err());
    }
}
