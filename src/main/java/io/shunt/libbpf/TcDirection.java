package io.shunt.libbpf;

/** The two places of a device where packets meet TC programs: enum bpf_tc_attach_point, and the same of TCX. */
public enum TcDirection {
    INGRESS(1, AttachType.TCX_INGRESS),
    EGRESS(2, AttachType.TCX_EGRESS);

    private final int number;
    private final AttachType tcx;

    TcDirection(int number, AttachType tcx) {
        this.number = number;
        this.tcx = tcx;
    }

    int number() {
        return number;
    }

    /** What a link attaches to. */
    public AttachType tcx() {
        return tcx;
    }
}
