import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What the other side wrote: rules as three tool numbers a line, events as key, time in ms and tool number. */
final class Workload {
  final int[][] rules;
  final int[] keys;
  final long[] timesMs;
  final int[] tools;

  Workload(Path dir) throws IOException {
    List<String> ruleLines = Files.readAllLines(dir.resolve("rules.tsv"));
    List<String> eventLines = Files.readAllLines(dir.resolve("events.tsv"));
    rules = ruleLines.stream().map(Workload::numbers).toArray(int[][]::new);
    int count = eventLines.size();
    keys = new int[count];
    timesMs = new long[count];
    tools = new int[count];
    for (int at = 0; at < count; at++) {
      String[] cells = eventLines.get(at).split("\t");
      keys[at] = Integer.parseInt(cells[0]);
      timesMs[at] = Long.parseLong(cells[1]);
      tools[at] = Integer.parseInt(cells[2]);
    }
  }

  private static int[] numbers(String line) {
    String[] cells = line.split("\t");
    int[] values = new int[cells.length];
    for (int at = 0; at < cells.length; at++) values[at] = Integer.parseInt(cells[at]);
    return values;
  }

  /** Seconds of processor time of the whole process, collector included. */
  static double cpuSeconds() {
    var system = (com.sun.management.OperatingSystemMXBean) java.lang.management.ManagementFactory.getOperatingSystemMXBean();
    return system.getProcessCpuTime() / 1e9;
  }

  static void print(String engine, long events, double cpuSeconds, double wallSeconds, long matches) {
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"engine\":\"%s\",\"eventsPerCpuSecond\":%.0f,\"eventsPerSecond\":%.0f,\"matches\":%d}%n",
        engine, events / cpuSeconds, events / wallSeconds, matches);
  }
}
