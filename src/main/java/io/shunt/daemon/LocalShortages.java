package io.shunt.daemon;

import io.shunt.net.IpFamily;
import io.shunt.snapshot.LocalShortage;
import io.shunt.table.Access;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;

/**
 * Counts virtual services whose policy keeps traffic on this node, which has none of their endpoints while others have,
 * as kube-proxy does (iptables/proxier.go): terminating ones count where they stand in for ready ones.
 */
final class LocalShortages {
    private LocalShortages() {}

    /** One entry for each policy and family. */
    static List<LocalShortage> of(Collection<VirtualService> services) {
        List<VirtualService> without = services.stream()
                .filter(service -> takes(service, Reach.CLUSTER) && !takes(service, Reach.LOCAL))
                .toList();
        List<LocalShortage> shortages = new ArrayList<>();
        for (IpFamily family : IpFamily.values()) {
            shortages.add(count(without, LocalShortage.Policy.INTERNAL, family, LocalShortages::keepsAll));
            shortages.add(count(without, LocalShortage.Policy.EXTERNAL, family, LocalShortages::keepsForeign));
        }
        return shortages;
    }

    private static boolean takes(VirtualService service, Reach reach) {
        return service.backends().stream().anyMatch(backend -> backend.state().takes(reach));
    }

    private static boolean keepsAll(Access access) {
        return access.inside() == Reach.LOCAL;
    }

    private static boolean keepsForeign(Access access) {
        return access.inside() == Reach.CLUSTER && access.outside() == Reach.LOCAL;
    }

    private static LocalShortage count(
            List<VirtualService> services, LocalShortage.Policy policy, IpFamily family, Predicate<Access> keeps) {
        long count = services.stream()
                .filter(service -> service.frontends().entrySet().stream()
                        .anyMatch(frontend ->
                                frontend.getKey().address().family() == family && keeps.test(frontend.getValue())))
                .count();
        return new LocalShortage(policy, family, (int) count);
    }
}
