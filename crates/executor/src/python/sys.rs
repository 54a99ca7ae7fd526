//! System calls that the standard library does not offer: polling, descriptors over sockets, sealed memory.
#![expect(
    unsafe_code,
    reason = "the standard library has no poll, no SCM_RIGHTS, no memfd and no mmap"
)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

/// Descriptors that one message may carry (the kernel's `SCM_MAX_FD`).
pub(super) const MAX_FDS: usize = 253;

/// Room for the ancillary data of [`MAX_FDS`] descriptors, in words so that it is aligned.
const CONTROL_WORDS: usize = 160;

const SEALS: libc::c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// One descriptor to wait for.
#[repr(transparent)]
pub(super) struct Wait {
    entry: libc::pollfd,
}

impl Wait {
    /// Waits for something to read, or for the other end to go.
    pub(super) fn readable(fd: &impl AsRawFd) -> Self {
        Self::new(fd.as_raw_fd(), libc::POLLIN)
    }

    /// As [`Wait::readable`], or for room to write.
    pub(super) fn writable(fd: &impl AsRawFd) -> Self {
        Self::new(fd.as_raw_fd(), libc::POLLIN | libc::POLLOUT)
    }

    const fn new(fd: RawFd, events: libc::c_short) -> Self {
        Self {
            entry: libc::pollfd {
                fd,
                events,
                revents: 0,
            },
        }
    }

    /// Whether the last [`poll`] found anything.
    pub(super) const fn is_ready(&self) -> bool {
        self.entry.revents != 0
    }
}

/// Waits until one of the descriptors is ready, or for at most `patience`. An interruption counts as nothing ready.
pub(super) fn poll(waits: &mut [Wait], patience: Option<Duration>) -> io::Result<()> {
    let timeout = patience.map_or(-1, |patience| {
        // Rounded up, or the last millisecond would be spent spinning.
        let millis = patience.as_micros().div_ceil(1000);
        libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: `Wait` has the layout of the one `pollfd` it holds (`repr(transparent)`), and the slice is ours for the call.
    let result = unsafe {
        libc::poll(
            waits.as_mut_ptr().cast::<libc::pollfd>(),
            waits.len() as libc::nfds_t,
            timeout,
        )
    };
    match check(result) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other.map(drop),
    }
}

/// Writes what there is room for, the descriptors beside the first byte. `WouldBlock` if there is no room.
pub(super) fn send(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(),
        iov_len: bytes.len(),
    };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let fds: Vec<RawFd> = fds.iter().take(MAX_FDS).map(AsRawFd::as_raw_fd).collect();
        let size = size_of_val(fds.as_slice());
        message.msg_control = control.as_mut_ptr().cast::<c_void>();
        // SAFETY: `control` has room for the header and MAX_FDS descriptors and is aligned for the header.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size as libc::c_uint) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size as libc::c_uint) as _;
            ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), size);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `message` points at `part` and `control`, which live until after the call; the kernel only reads them.
    check_size(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) })
}

/// Reads what is there, and appends the descriptors that came with it. 0 at the end, `WouldBlock` if nothing is there.
pub(super) fn receive(socket: &UnixStream, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast::<c_void>(),
        iov_len: buffer.len(),
    };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast::<c_void>();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `message` points at `buffer` and `control`, which are ours and live until after the call.
    let size = check_size(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) })?;
    // SAFETY: the kernel filled in `message`; the macros walk the headers within `control`, and each descriptor found
    // is a new one that nobody else owns.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for i in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(ptr::read_unaligned(data.add(i))));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(size)
}

/// New memory of `size` zero bytes that can be sent to other processes, not yet sealed.
pub(super) fn memory(size: u64) -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; the descriptor is new and only ours.
    let file = unsafe { File::from_raw_fd(check(libc::memfd_create(c"millstream".as_ptr(), flags))?) };
    file.set_len(size)?;
    Ok(file)
}

/// Lets nobody change the memory any more.
pub(super) fn seal(memory: &File) -> io::Result<()> {
    // SAFETY: takes integers only.
    check(unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, SEALS) }).map(drop)
}

/// Whether nobody can change the memory any more.
pub(super) fn is_sealed(memory: &File) -> bool {
    // SAFETY: takes integers only.
    let seals = unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & SEALS == SEALS
}

/// Sealed memory as bytes.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut c_void,
    size: usize,
}

// SAFETY: the memory is sealed, so nobody writes to it, and it is mapped until the only owner is dropped.
unsafe impl Send for Mapping {}
// SAFETY: as above; sharing read-only memory is safe.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `size` bytes of sealed memory.
    pub(super) fn new(memory: &File, size: usize) -> io::Result<Self> {
        // Else it could shrink below what is mapped, and reading it would kill this process.
        if size == 0 || !is_sealed(memory) || memory.metadata()?.len() < size as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "memory that is not sealed, or shorter than said",
            ));
        }
        // SAFETY: a new mapping at a place of the kernel's choice, private and read-only.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                memory.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start, size })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `size` bytes are mapped readable from `start` until `self` is dropped, and sealed against writes.
        unsafe { std::slice::from_raw_parts(self.start.cast::<u8>(), self.size) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and nothing borrows it any more.
        unsafe {
            libc::munmap(self.start, self.size);
        }
    }
}

/// A descriptor that becomes readable when the process ends.
pub(super) fn process_handle(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes integers; the descriptor is new and only ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid as libc::c_long, 0 as libc::c_long);
        Ok(OwnedFd::from_raw_fd(check(fd as libc::c_int)?))
    }
}

/// Sends a signal to a process that has not been waited for.
pub(super) fn signal(process: &OwnedFd, signal: libc::c_int) {
    // SAFETY: takes integers and a null pointer, which means no details. A process that has ended gives an error.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd() as libc::c_long,
            signal as libc::c_long,
            ptr::null::<libc::siginfo_t>(),
            0 as libc::c_long,
        );
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn memory_crosses_a_socket_sealed() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut file = memory(5).unwrap();
        file.write_all(b"hello").unwrap();
        assert!(Mapping::new(&file, 5).is_err(), "not sealed");
        seal(&file).unwrap();
        assert!(file.write_all(b"x").is_err());
        assert_eq!(send(&here, b"ab", &[file.as_fd(), file.as_fd()]).unwrap(), 2);
        let (mut buffer, mut fds) = ([0; 16], Vec::new());
        assert_eq!(receive(&there, &mut buffer, &mut fds).unwrap(), 2);
        assert_eq!(fds.len(), 2);
        let arrived = File::from(fds.pop().unwrap());
        assert_eq!(Mapping::new(&arrived, 5).unwrap().as_ref(), b"hello");
        assert!(Mapping::new(&arrived, 6).is_err(), "longer than it is");
        let empty = receive(&there, &mut buffer, &mut fds).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
}
