package io.shunt.datapath;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The kernel's release as far as it decides whether Shunt can run. */
record KernelVersion(int major, int minor) {
    /** mmap-able arrays, socket storage in cgroup hooks and bpf_link for them are all there, and distributions keep it. */
    static final KernelVersion FLOOR = new KernelVersion(5, 15);

    private static final Pattern RELEASE = Pattern.compile("(\\d+)\\.(\\d+).*");

    /** That of the kernel this runs on. */
    static KernelVersion running() {
        return parse(System.getProperty("os.version"));
    }

    /** The version in a release such as {@code 6.12.3-amd64}; 0.0 if there is none in it. */
    static KernelVersion parse(String release) {
        Matcher matcher = RELEASE.matcher(release);
        return matcher.matches()
                ? new KernelVersion(Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2)))
                : new KernelVersion(0, 0);
    }

    boolean isBelow(KernelVersion other) {
        return major != other.major ? major < other.major : minor < other.minor;
    }

    @Override
    public String toString() {
        return major + "." + minor;
    }
}
