package io.shunt.libbpf;

import java.util.HashMap;
import java.util.Map;

/**
 * An error number of Linux (asm-generic, as on x86-64 and arm64) or of libbpf (from 4000 on).
 *
 * @param number positive
 * @param name as C writes it, EPERM
 * @param text as strerror says it
 */
public record Errno(int number, String name, String text) {
    private static final Map<Integer, Errno> KNOWN = new HashMap<>();

    public static final Errno EPERM = known(1, "EPERM", "Operation not permitted");
    public static final Errno ENOENT = known(2, "ENOENT", "No such file or directory");
    public static final Errno ESRCH = known(3, "ESRCH", "No such process");
    public static final Errno EINTR = known(4, "EINTR", "Interrupted system call");
    public static final Errno EIO = known(5, "EIO", "Input/output error");
    public static final Errno ENXIO = known(6, "ENXIO", "No such device or address");
    public static final Errno E2BIG = known(7, "E2BIG", "Argument list too long");
    public static final Errno ENOEXEC = known(8, "ENOEXEC", "Exec format error");
    public static final Errno EBADF = known(9, "EBADF", "Bad file descriptor");
    public static final Errno EAGAIN = known(11, "EAGAIN", "Resource temporarily unavailable");
    public static final Errno ENOMEM = known(12, "ENOMEM", "Cannot allocate memory");
    public static final Errno EACCES = known(13, "EACCES", "Permission denied");
    public static final Errno EFAULT = known(14, "EFAULT", "Bad address");
    public static final Errno EBUSY = known(16, "EBUSY", "Device or resource busy");
    public static final Errno EEXIST = known(17, "EEXIST", "File exists");
    public static final Errno EXDEV = known(18, "EXDEV", "Invalid cross-device link");
    public static final Errno ENODEV = known(19, "ENODEV", "No such device");
    public static final Errno ENOTDIR = known(20, "ENOTDIR", "Not a directory");
    public static final Errno EISDIR = known(21, "EISDIR", "Is a directory");
    public static final Errno EINVAL = known(22, "EINVAL", "Invalid argument");
    public static final Errno ENFILE = known(23, "ENFILE", "Too many open files in system");
    public static final Errno EMFILE = known(24, "EMFILE", "Too many open files");
    public static final Errno ENOSPC = known(28, "ENOSPC", "No space left on device");
    public static final Errno EROFS = known(30, "EROFS", "Read-only file system");
    public static final Errno EDOM = known(33, "EDOM", "Numerical argument out of domain");
    public static final Errno ERANGE = known(34, "ERANGE", "Numerical result out of range");
    public static final Errno ENAMETOOLONG = known(36, "ENAMETOOLONG", "File name too long");
    public static final Errno ENOSYS = known(38, "ENOSYS", "Function not implemented");
    public static final Errno ELOOP = known(40, "ELOOP", "Too many levels of symbolic links");
    public static final Errno ENOLINK = known(67, "ENOLINK", "Link has been severed");
    public static final Errno EPROTO = known(71, "EPROTO", "Protocol error");
    public static final Errno EBADMSG = known(74, "EBADMSG", "Bad message");
    public static final Errno EBADFD = known(77, "EBADFD", "File descriptor in bad state");
    public static final Errno EILSEQ = known(84, "EILSEQ", "Invalid or incomplete multibyte or wide character");
    public static final Errno EOPNOTSUPP = known(95, "EOPNOTSUPP", "Operation not supported");
    public static final Errno ENETDOWN = known(100, "ENETDOWN", "Network is down");
    public static final Errno ESTALE = known(116, "ESTALE", "Stale file handle");
    public static final Errno ECANCELED = known(125, "ECANCELED", "Operation canceled");
    /** The kernel's own, which it was never meant to show: this map or program type cannot do that. */
    public static final Errno ENOTSUPP = known(524, "ENOTSUPP", "Operation is not supported");

    public static final Errno LIBELF = known(4000, "LIBBPF_ERRNO__LIBELF", "Something wrong in libelf");
    public static final Errno FORMAT = known(4001, "LIBBPF_ERRNO__FORMAT", "BPF object format invalid");
    public static final Errno ENDIAN = known(4003, "LIBBPF_ERRNO__ENDIAN", "Endian mismatch");
    public static final Errno RELOC = known(4005, "LIBBPF_ERRNO__RELOC", "Relocation failed");

    /** The error of this number; one that has no name here is called by its number. */
    public static Errno of(int number) {
        Errno known = KNOWN.get(number);
        return known != null ? known : new Errno(number, "errno " + number, "unknown error");
    }

    private static Errno known(int number, String name, String text) {
        Errno errno = new Errno(number, name, text);
        KNOWN.put(number, errno);
        return errno;
    }

    @Override
    public String toString() {
        return name + " (" + text + ")";
    }
}
