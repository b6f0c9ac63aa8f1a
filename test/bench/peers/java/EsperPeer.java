import com.espertech.esper.common.client.EPCompiled;
import com.espertech.esper.common.client.configuration.Configuration;
import com.espertech.esper.compiler.client.CompilerArguments;
import com.espertech.esper.compiler.client.EPCompilerProvider;
import com.espertech.esper.runtime.client.EPDeployment;
import com.espertech.esper.runtime.client.EPRuntime;
import com.espertech.esper.runtime.client.EPRuntimeProvider;
import com.espertech.esper.runtime.client.EPStatement;
import java.nio.file.Path;

/**
 * Esper over the workload: every start of each rule is followed (pattern with `every`), by key, inside ten minutes. One
 * thread, time from outside. The first pass warms up; the second, later in time by as much, is measured.
 */
public final class EsperPeer {
  public static final class E {
    private final int key;
    private final int tool;

    E(int key, int tool) {
      this.key = key;
      this.tool = tool;
    }

    public int getKey() {
      return key;
    }

    public int getTool() {
      return tool;
    }
  }

  private static long matches = 0;

  public static void main(String[] args) throws Exception {
    Workload load = new Workload(Path.of(args[0]));
    Configuration configuration = new Configuration();
    configuration.getCommon().addEventType("E", E.class);
    configuration.getRuntime().getThreading().setInternalTimerEnabled(false);
    EPRuntime runtime = EPRuntimeProvider.getRuntime("bench", configuration);
    runtime.getEventService().advanceTime(load.timesMs[0]);
    EPCompiled compiled =
        EPCompilerProvider.getCompiler().compile(epl(load), new CompilerArguments(configuration));
    EPDeployment deployment = runtime.getDeploymentService().deploy(compiled);
    for (EPStatement statement : deployment.getStatements())
      if (statement.getName().startsWith("rule"))
        statement.addListener((fresh, old, from, at) -> matches += fresh.length);
    long span = load.timesMs[load.timesMs.length - 1] - load.timesMs[0] + 2;
    for (int pass = 0; pass < 2; pass++) {
      matches = 0;
      double cpu = Workload.cpuSeconds();
      long wall = System.nanoTime();
      run(runtime, load, pass * span);
      Workload.print(
          pass == 0 ? "esper_every_warm_up" : "esper_every",
          load.keys.length,
          Workload.cpuSeconds() - cpu,
          (System.nanoTime() - wall) / 1e9,
          matches);
    }
  }

  private static void run(EPRuntime runtime, Workload load, long offsetMs) {
    var service = runtime.getEventService();
    for (int at = 0; at < load.keys.length; at++) {
      service.advanceTime(load.timesMs[at] + offsetMs);
      service.sendEventBean(new E(load.keys[at], load.tools[at]), "E");
    }
  }

  private static String epl(Workload load) {
    StringBuilder epl = new StringBuilder("create context ByKey partition by key from E;\n");
    for (int rule = 0; rule < load.rules.length; rule++) {
      int[] steps = load.rules[rule];
      epl.append("@name('rule").append(rule).append("') context ByKey select a.tool from pattern [every a=E(tool=")
          .append(steps[0]).append(") -> (b=E(tool=").append(steps[1]).append(") -> c=E(tool=").append(steps[2])
          .append(")) where timer:within(600 sec)];\n");
    }
    return epl.toString();
  }
}
