package io.shunt.datapath;

import io.shunt.table.Frontend;
import java.util.Map;
import java.util.stream.Collectors;

/** Frontends that another virtual service has already, which keeps them; everything else is as wanted. */
public final class FrontendTakenException extends RuntimeException {
    /** @param owners who has which */
    FrontendTakenException(Map<Frontend, String> owners) {
        super(owners.entrySet().stream()
                        .map(taken -> taken.getKey() + " already belongs to " + taken.getValue())
                        .sorted()
                        .collect(Collectors.joining(", "))
                + ": give one of the two another address or port");
    }
}
