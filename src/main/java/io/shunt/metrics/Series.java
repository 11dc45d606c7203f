package io.shunt.metrics;

import io.prometheus.metrics.model.snapshots.CounterSnapshot;
import io.prometheus.metrics.model.snapshots.CounterSnapshot.CounterDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot.GaugeDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricMetadata;
import io.prometheus.metrics.model.snapshots.MetricSnapshot;
import java.util.Collection;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/** Metrics made during a scrape from what is there to count, one series an item. */
final class Series {
    private Series() {}

    static MetricSnapshot gauge(String name, String help, double value) {
        return new GaugeSnapshot(
                new MetricMetadata(name, help), List.of(new GaugeDataPointSnapshot(value, Labels.EMPTY, null)));
    }

    static <T> MetricSnapshot gauges(
            String name, String help, Collection<T> items, Function<T, Labels> labels, ToDoubleFunction<T> value) {
        return new GaugeSnapshot(
                new MetricMetadata(name, help),
                items.stream()
                        .map(item -> new GaugeDataPointSnapshot(value.applyAsDouble(item), labels.apply(item), null))
                        .toList());
    }

    /** @param name without {@code _total}, which the exposition format adds */
    static <T> MetricSnapshot counters(
            String name, String help, Collection<T> items, Function<T, Labels> labels, ToDoubleFunction<T> value) {
        return new CounterSnapshot(
                new MetricMetadata(name, help),
                items.stream()
                        .map(item ->
                                new CounterDataPointSnapshot(value.applyAsDouble(item), labels.apply(item), null, 0))
                        .toList());
    }
}
