package io.shunt.bench;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.ToIntFunction;
import java.util.stream.Collector;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Rates over the number of services, and ratios side by side, as pictures. */
final class Chart {
    private static final int WIDTH = 900;
    private static final int HEIGHT = 480;
    private static final int DOTS_PER_INCH = 150;

    private Chart() {}

    /** @param rates connects a second by number of services */
    record Series(String name, TreeMap<Integer, Double> rates) {}

    /** Collects the medians of rates by number of services. */
    static <R> Collector<R, ?, TreeMap<Integer, Double>> points(
            ToIntFunction<R> services, Function<R, double[]> rates) {
        return Collector.of(
                TreeMap::new,
                (points, row) -> points.put(services.applyAsInt(row), new Samples(rates.apply(row)).median()),
                (a, b) -> {
                    a.putAll(b);
                    return a;
                });
    }

    /** @param groups values by group and label, with the same labels in each */
    static void bars(Path file, String title, Map<String, Map<String, Double>> groups) throws IOException {
        System.setProperty("java.awt.headless", "true");
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .build();
        chart.getStyler().setXAxisLabelRotation(30).setYAxisDecimalPattern("0.0");
        chart.getStyler().setYAxisMin(0.0).setLegendPosition(Styler.LegendPosition.OutsideE);
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        groups.forEach(
                (name, values) -> chart.addSeries(name, List.copyOf(values.keySet()), List.copyOf(values.values())));
        BitmapEncoder.saveBitmapWithDPI(chart, file.toString(), BitmapEncoder.BitmapFormat.PNG, DOTS_PER_INCH);
    }

    static void connects(Path file, List<Series> all) throws IOException {
        System.setProperty("java.awt.headless", "true");
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title("TCP connect and close")
                .xAxisTitle("services")
                .yAxisTitle("a second")
                .build();
        chart.getStyler()
                .setXAxisLogarithmic(true)
                .setXAxisDecimalPattern("#,###")
                .setYAxisDecimalPattern("#,###");
        chart.getStyler().setYAxisMin(0.0).setLegendPosition(Styler.LegendPosition.OutsideE);
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        for (Series series : all) {
            if (!series.rates.isEmpty()) {
                chart.addSeries(series.name, List.copyOf(series.rates.keySet()), List.copyOf(series.rates.values()))
                        .setMarker(SeriesMarkers.CIRCLE);
            }
        }
        BitmapEncoder.saveBitmapWithDPI(chart, file.toString(), BitmapEncoder.BitmapFormat.PNG, DOTS_PER_INCH);
    }
}
