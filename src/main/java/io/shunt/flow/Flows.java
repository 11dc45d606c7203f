package io.shunt.flow;

import java.time.Duration;
import java.time.Instant;
import java.util.List;

/** What the kernel tells of conversations and drops. Safe from any thread. */
public interface Flows {
    /**
     * The conversations as they stand now, in no order.
     *
     * @param service {@code namespace/name}: only those of that Service; "": all
     * @param most no more than so many
     */
    List<Flow> flows(String service, int most);

    /**
     * Has drops told for a minute from now on, if they are not already: nobody tells of them while nobody asks.
     *
     * @return since when they are
     */
    Instant watch();

    /**
     * The drops after one, waiting for the first; asking is watching.
     *
     * @param after the id of the last drop that is known, 0 for all there are
     */
    Page drops(long after, Duration wait) throws InterruptedException;

    /**
     * @param drops in the order in which they happened
     * @param lost how many came before these and after those that the reader knows, and are gone
     * @param last the id to go on from
     */
    record Page(List<Drop> drops, long lost, long last) {
        public Page {
            drops = List.copyOf(drops);
        }
    }
}
