import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.cep.CEP;
import org.apache.flink.cep.functions.PatternProcessFunction;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.source.legacy.SourceFunction;
import org.apache.flink.util.Collector;

/**
 * Flink CEP over the workload: one pattern a rule over one keyed stream, relaxed contiguity, no skip (every start), ten
 * minutes, parallelism 1, processing order as it comes. The whole job is measured, its start included: a run as long as
 * the workload has no second pass.
 */
public final class FlinkPeer {
  public static final class E implements java.io.Serializable {
    public int key;
    public int tool;
    public long timeMs;

    public E() {}

    E(int key, int tool, long timeMs) {
      this.key = key;
      this.tool = tool;
      this.timeMs = timeMs;
    }
  }

  private static final AtomicLong matches = new AtomicLong();
  private static Workload load;

  public static final class Source implements SourceFunction<E> {
    @Override
    public void run(SourceContext<E> context) {
      for (int at = 0; at < load.keys.length; at++)
        context.collect(new E(load.keys[at], load.tools[at], load.timesMs[at]));
    }

    @Override
    public void cancel() {}
  }

  public static void main(String[] args) throws Exception {
    load = new Workload(Path.of(args[0]));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    env.getConfig().enableObjectReuse();
    DataStream<E> events =
        env.addSource(new Source())
            .assignTimestampsAndWatermarks(
                WatermarkStrategy.<E>forMonotonousTimestamps().withTimestampAssigner((event, at) -> event.timeMs));
    KeySelector<E, Integer> byKey = event -> event.key;
    for (int[] steps : load.rules)
      CEP.pattern(events.keyBy(byKey), pattern(steps)).process(new Count()).name("rule");
    double cpu = Workload.cpuSeconds();
    long wall = System.nanoTime();
    env.execute();
    Workload.print(
        "flink_cep_no_skip",
        load.keys.length,
        Workload.cpuSeconds() - cpu,
        (System.nanoTime() - wall) / 1e9,
        matches.get());
  }

  private static Pattern<E, ?> pattern(int[] steps) {
    return Pattern.<E>begin("a", AfterMatchSkipStrategy.noSkip())
        .where(SimpleCondition.of(new Is(steps[0])))
        .followedBy("b")
        .where(SimpleCondition.of(new Is(steps[1])))
        .followedBy("c")
        .where(SimpleCondition.of(new Is(steps[2])))
        .within(Duration.ofMinutes(10));
  }

  public static final class Is implements org.apache.flink.api.common.functions.FilterFunction<E> {
    private final int tool;

    Is(int tool) {
      this.tool = tool;
    }

    @Override
    public boolean filter(E event) {
      return event.tool == tool;
    }
  }

  public static final class Count extends PatternProcessFunction<E, Long> {
    @Override
    public void processMatch(Map<String, List<E>> match, Context context, Collector<Long> out) {
      matches.incrementAndGet();
    }
  }
}
