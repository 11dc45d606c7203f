package io.shunt.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/**
 * Rows in aligned columns, two blanks apart. Columns whose header begins with a blank are aligned to the right. Rows that
 * come after some were printed are aligned with those as far as they fit.
 */
final class TextTable {
    private static final String GAP = "  ";

    private final List<String[]> rows = new ArrayList<>();
    private final boolean[] right;
    private final int[] widths;

    TextTable(String... headers) {
        right = new boolean[headers.length];
        widths = new int[headers.length];
        String[] first = new String[headers.length];
        for (int i = 0; i < headers.length; i++) {
            right[i] = headers[i].startsWith(" ");
            first[i] = headers[i].strip();
        }
        rows.add(first);
    }

    void row(Object... cells) {
        String[] row = new String[right.length];
        for (int i = 0; i < right.length; i++) {
            row[i] = String.valueOf(cells[i]);
        }
        rows.add(row);
    }

    /** Prints what has not been printed. */
    void print(PrintWriter out) {
        for (String[] row : rows) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], row[i].length());
            }
        }
        for (String[] row : rows) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < widths.length; i++) {
                String padding = " ".repeat(widths[i] - row[i].length());
                line.append(i == 0 ? "" : GAP).append(right[i] ? padding + row[i] : row[i] + padding);
            }
            out.println(line.toString().stripTrailing());
        }
        rows.clear();
    }
}
