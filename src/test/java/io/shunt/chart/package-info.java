/** The chart as helm renders it, and what it brings for Prometheus and Grafana. */
@NullMarked
package io.shunt.chart;

import org.jspecify.annotations.NullMarked;
