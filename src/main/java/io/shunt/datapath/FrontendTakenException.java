package io.shunt.datapath;

import io.shunt.table.Frontend;

/** Two virtual services want the same frontend; the one that has it keeps it. */
public final class FrontendTakenException extends RuntimeException {
    FrontendTakenException(Frontend frontend, String owner) {
        super(frontend + " already belongs to " + owner + ": give one of the two another address or port");
    }
}
