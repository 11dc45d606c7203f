package io.shunt.cli;

import java.util.Arrays;
import picocli.CommandLine.Help;
import picocli.CommandLine.Help.Ansi.Text;
import picocli.CommandLine.Help.ColorScheme;
import picocli.CommandLine.Help.IOptionRenderer;
import picocli.CommandLine.Model.CommandSpec;

/** Picocli's help, with each option's default and environment variable below its description. */
final class SettingsHelp extends Help {
    SettingsHelp(CommandSpec command, ColorScheme colors) {
        super(command, colors);
    }

    @Override
    public IOptionRenderer createDefaultOptionRenderer() {
        IOptionRenderer plain = super.createDefaultOptionRenderer();
        return (option, labels, colors) -> {
            Text[][] rows = plain.render(option, labels, colors);
            String remark = Settings.remark(option);
            if (remark.isEmpty()) {
                return rows;
            }
            Text none = colors.text("");
            Text[][] extended = Arrays.copyOf(rows, rows.length + 1);
            extended[rows.length] = new Text[] {none, none, none, none, colors.text(remark)};
            return extended;
        };
    }
}
