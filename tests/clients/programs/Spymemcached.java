import java.io.Serializable;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import net.spy.memcached.AddrUtil;
import net.spy.memcached.CASMutation;
import net.spy.memcached.CASMutator;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.CachedData;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.DefaultHashAlgorithm;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.auth.AuthDescriptor;
import net.spy.memcached.auth.PlainCallbackHandler;
import net.spy.memcached.internal.OperationFuture;
import net.spy.memcached.transcoders.IntegerTranscoder;
import net.spy.memcached.transcoders.LongTranscoder;
import net.spy.memcached.transcoders.SerializingTranscoder;
import net.spy.memcached.transcoders.Transcoder;
import net.spy.memcached.transcoders.WhalinTranscoder;

/**
 * Everything that spymemcached offers, on one server.
 *
 * <pre>java -cp spymemcached.jar:. Spymemcached HOST PORT ascii|binary [USER PASSWORD]</pre>
 *
 * Prints a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be; the status is 1 then.
 */
public final class Spymemcached {
    private static final int MANY = 300;
    private static final int LIMIT = 1048576;

    private final MemcachedClient client;
    private final boolean isBinary;
    private int steps;
    private int faults;

    private Spymemcached(MemcachedClient client, boolean isBinary) {
        this.client = client;
        this.isBinary = isBinary;
    }

    private static String text(Object value) {
        if (value instanceof byte[] bytes) {
            return bytes.length + " bytes " + Arrays.hashCode(bytes);
        }
        String shown = String.valueOf(value).replace("\n", " ");
        return shown.length() > 200 ? shown.length() + " characters " + shown.hashCode() : shown;
    }

    private void expect(String name, Object actual, Object expected) {
        steps++;
        boolean wrong = !Objects.deepEquals(actual, expected);
        faults += wrong ? 1 : 0;
        System.out.println(name + " = " + text(actual) + (wrong ? " !! not " + text(expected) : ""));
    }

    /** What a step throws, or "nothing". */
    private static String thrown(Callable<?> step) {
        try {
            step.call();
            return "nothing";
        } catch (ExecutionException failure) {
            return failure.getCause().getClass().getSimpleName();
        } catch (Exception failure) {
            return failure.getClass().getSimpleName();
        }
    }

    private void storage() throws Exception {
        expect("get absent", client.get("absent"), null);
        expect("set", client.set("k", 0, "value").get(), true);
        expect("get", client.get("k"), "value");
        expect("add there", client.add("k", 0, "other").get(), false);
        expect("add", client.add("added", 1000, "a").get(), true);
        expect("replace", client.replace("added", 0, "b").get(), true);
        expect("replace absent", client.replace("absent", 0, "x").get(), false);
        expect("append", client.append("k", "-end").get(), true);
        expect("prepend", client.prepend("k", "start-").get(), true);
        expect("append absent", client.append("absent", "x").get(), false);
        expect("prepend absent", client.prepend("absent", "x").get(), false);
        expect("get joined", client.get("k"), "start-value-end");
        expect("delete", client.delete("k").get(), true);
        expect("delete again", client.delete("k").get(), false);
        expect("get deleted", client.asyncGet("k").get(), null);
        OperationFuture<Boolean> stored = client.set("k", 0, "v");
        expect("status of set", stored.get() && stored.getStatus().isSuccess(), true);
        OperationFuture<Boolean> refused = client.add("k", 0, "v");
        expect("status of add there", refused.get() || refused.getStatus().isSuccess(), false);
    }

    private void cas() throws Exception {
        client.set("k", 0, "one").get();
        CASValue<Object> found = client.gets("k");
        expect("gets", found.getValue(), "one");
        expect("a token is not 0", found.getCas() != 0, true);
        expect("a token stands", client.asyncGets("k").get().getCas() == found.getCas(), true);
        expect("gets absent", client.gets("absent"), null);
        expect("cas", client.cas("k", found.getCas(), "two"), CASResponse.OK);
        expect("cas again", client.cas("k", found.getCas(), "three"), CASResponse.EXISTS);
        expect("cas absent", client.cas("absent", found.getCas(), "x"), CASResponse.NOT_FOUND);
        expect("cas with expiry", client.cas("k", client.gets("k").getCas(), 1000, "four"), CASResponse.OK);
        expect("asynchronous cas", client.asyncCAS("k", client.gets("k").getCas(), "five").get(), CASResponse.OK);
        expect("get cas", client.get("k"), "five");
        long token = client.gets("k").getCas();
        expect("append with a token", client.append(token, "k", "!").get(), true);
        // In ascii there is no such thing, and the token is not sent.
        expect("prepend with an old token", client.prepend(token, "k", "?").get(), !isBinary);
        if (isBinary) {
            expect("delete with an old token", client.delete("k", token).get(), false);
            expect("delete with a token", client.delete("k", client.gets("k").getCas()).get(), true);
        }
        CASMutator<Object> mutator = new CASMutator<>(client, new SerializingTranscoder());
        CASMutation<Object> mutation = current -> (Integer) current + 1;
        for (int i = 0; i < 5; i++) {
            mutator.cas("mutated", 0, 0, mutation);
        }
        expect("mutated", client.get("mutated"), 4);
    }

    private void counters() {
        client.set("n", 0, "10");
        expect("incr", client.incr("n", 5), 15L);
        expect("decr", client.decr("n", 3), 12L);
        expect("get counter", client.get("n"), "12");
        expect("decr below 0", client.decr("n", 100), 0L);
        expect("incr absent", client.incr("absent", 1), -1L);
        expect("decr absent", client.decr("absent", 1), -1L);
        expect("incr with initial", client.incr("i", 3, 40), 40L);
        expect("incr with initial again", client.incr("i", 3, 40), 43L);
        expect("decr with initial", client.decr("d", 3, 50, 1000), 50L);
        expect("decr with initial again", client.decr("d", 3, 50, 1000), 47L);
        expect("get initial", client.get("i"), "43");
        expect("incr by a long", client.incr("i", 10_000_000_000L), 10_000_000_043L);
        client.set("text", 0, "abc");
        System.out.println("incr of text = " + thrown(() -> client.asyncIncr("text", 1).get()));
        expect("text stays", client.get("text"), "abc");
    }

    private void many() throws Exception {
        Map<String, Object> items = new TreeMap<>();
        List<Future<Boolean>> waiting = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            items.put("many-" + i, new ArrayList<>(List.of(i, "value " + i)));
            waiting.add(client.set("many-" + i, 1000, items.get("many-" + i)));
        }
        boolean stored = true;
        for (Future<Boolean> one : waiting) {
            stored &= one.get();
        }
        expect("set many", stored, true);
        List<String> keys = new ArrayList<>(items.keySet());
        keys.add("absent");
        expect("get many", new TreeMap<>(client.getBulk(keys)), items);
        expect("get many by names", new TreeMap<>(client.getBulk("many-1", "many-2", "absent")).keySet().toString(), "[many-1, many-2]");
        expect("get many asynchronously", client.asyncGetBulk(keys.iterator()).get().size(), MANY);
        expect("get many partially", client.asyncGetBulk(keys).getSome(20, TimeUnit.SECONDS).size(), MANY);
        expect("get many of nothing", client.getBulk("absent").size(), 0);
        List<Future<Object>> gets = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            gets.add(client.asyncGet("many-" + i));
        }
        int wrong = 0;
        for (int i = 0; i < MANY; i++) {
            wrong += Objects.equals(gets.get(i).get(), items.get("many-" + i)) ? 0 : 1;
        }
        expect("wrong", wrong, 0);
    }

    private static final class Point implements Serializable {
        private static final long serialVersionUID = 1;
        final int x;
        Point(int x) {
            this.x = x;
        }
        @Override public boolean equals(Object other) {
            return other instanceof Point point && point.x == x;
        }
        @Override public int hashCode() {
            return x;
        }
        @Override public String toString() {
            return "point " + x;
        }
    }

    /** The flags that a transcoder stores come back. */
    private static final class Flagged implements Transcoder<String> {
        @Override public boolean asyncDecode(CachedData data) {
            return false;
        }
        @Override public CachedData encode(String value) {
            return new CachedData(Integer.parseInt(value), value.getBytes(StandardCharsets.UTF_8), LIMIT);
        }
        @Override public String decode(CachedData data) {
            return new String(data.getData(), StandardCharsets.UTF_8) + " flags " + data.getFlags();
        }
        @Override public int getMaxSize() {
            return LIMIT;
        }
    }

    private void values() throws Exception {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("text", "text");
        values.put("empty", "");
        values.put("unicode", "gr\u00fc\u00dfe \u2603");
        values.put("bytes", new byte[] {0, -1, '\r', '\n', 'E', 'N', 'D', '\r', '\n'});
        values.put("int", 42);
        values.put("long", -7_000_000_000L);
        values.put("double", 1.5);
        values.put("float", 2.5f);
        values.put("boolean", true);
        values.put("byte", (byte) 7);
        values.put("date", new Date(1234567890123L));
        values.put("integer", BigInteger.TEN.pow(30));
        values.put("list", new ArrayList<>(List.of(1, "two")));
        values.put("map", new TreeMap<>(Map.of("a", new TreeMap<>(Map.of("b", 1)))));
        values.put("object", new Point(3));
        values.put("packed", "abc".repeat(100000));
        for (Map.Entry<String, Object> value : values.entrySet()) {
            expect("set " + value.getKey(), client.set("v", 0, value.getValue()).get(), true);
            expect("get " + value.getKey(), client.get("v"), value.getValue());
        }
        expect("set integer", client.set("v", 0, 42, new IntegerTranscoder()).get(), true);
        expect("get integer", client.get("v", new IntegerTranscoder()), 42);
        expect("set long", client.set("v", 0, 42L, new LongTranscoder()).get(), true);
        expect("get long", client.get("v", new LongTranscoder()), 42L);
        WhalinTranscoder whalin = new WhalinTranscoder();
        expect("set Whalin's", client.set("v", 0, "text", whalin).get(), true);
        expect("get Whalin's", client.get("v", whalin), "text");
        for (String flags : new String[] {"0", "1", "65535", "2147483647"}) {
            client.set("flags", 0, flags, new Flagged()).get();
            expect("flags " + flags, client.get("flags", new Flagged()), flags + " flags " + flags);
        }
    }

    private void expiry() throws Exception {
        int now = (int) (System.currentTimeMillis() / 1000);
        client.set("t", 1000, "v").get();
        client.set("u", now + 1000, "v").get();
        client.set("p", now - 1000, "v").get();
        expect("get for long", client.get("t"), "v");
        expect("get until", client.get("u"), "v");
        expect("get past", client.get("p"), null);
        expect("touch", client.touch("t", 2000).get(), true);
        expect("touch absent", client.touch("absent", 10).get(), false);
        expect("touch into the past", client.touch("u", now - 1000).get(), true);
        expect("get past touch", client.get("u"), null);
        if (isBinary) {
            expect("get and touch", client.getAndTouch("t", 3000).getValue(), "v");
            expect("get and touch absent", client.getAndTouch("absent", 3000), null);
            expect("asynchronous get and touch", client.asyncGetAndTouch("t", 3000).get().getCas() != 0, true);
        } else {
            expect("get and touch needs binary", thrown(() -> client.getAndTouch("t", 3000)), "UnsupportedOperationException");
        }
        client.set("s", 1, "v").get();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (client.get("s") != null && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        expect("get behind a second", client.get("s"), null);
    }

    private void keysAndSizes() throws Exception {
        String longest = "k".repeat(250);
        expect("longest key", client.set(longest, 0, "v").get(), true);
        expect("get longest key", client.get(longest), "v");
        expect("key too long", thrown(() -> client.set(longest + "k", 0, "v")), "IllegalArgumentException");
        expect("empty key", thrown(() -> client.get("")), "IllegalArgumentException");
        for (String key : new String[] {"gr\u00fc\u00dfe-\u2603", "!\"$%&/()=?{[]}\\'#+*~<>|;:,._-^"}) {
            expect("set " + key, client.set(key, 0, "odd").get(), true);
            expect("get " + key, client.get(key), "odd");
            expect("get many with " + key, client.getBulk(key).toString(), "{" + key + "=odd}");
        }
        if (isBinary) {
            expect("set a key with a space", client.set("a b", 0, "odd").get(), true);
            expect("get a key with a space", client.get("a b"), "odd");
        } else {
            expect("key with a space", thrown(() -> client.set("a b", 0, "v")), "IllegalArgumentException");
        }
        SerializingTranscoder large = new SerializingTranscoder(8 * LIMIT);
        large.setCompressionThreshold(Integer.MAX_VALUE);
        byte[] bytes = new byte[LIMIT - 300];
        Arrays.fill(bytes, (byte) 'x');
        expect("large", client.set("large", 0, bytes, large).get(), true);
        expect("get large", client.get("large", large), bytes);
        OperationFuture<Boolean> tooLarge = client.set("large", 0, new byte[LIMIT + 1], large);
        String failure = thrown(tooLarge::get);
        expect("too large", failure.equals("nothing") ? tooLarge.getStatus().isSuccess() : false, false);
        System.out.println("too large throws = " + failure);
        expect("too large takes the old value away", client.get("large", large), null);
    }

    private void manyThreads() throws Exception {
        client.set("counter", 0, "0").get();
        AtomicInteger wrong = new AtomicInteger();
        Thread[] threads = new Thread[6];
        for (int number = 0; number < threads.length; number++) {
            String prefix = "thread-" + number + "-";
            threads[number] = new Thread(() -> {
                for (int i = 0; i < 100; i++) {
                    client.set(prefix + i, 0, i);
                    wrong.addAndGet(Objects.equals(client.get(prefix + i), i) ? 0 : 1);
                    client.incr("counter", 1);
                }
            });
            threads[number].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        expect("faults of many threads", wrong.get(), 0);
        expect("their counter", client.get("counter"), "600");
    }

    private void serverFacts() throws Exception {
        Map<String, String> stats = client.getStats().values().iterator().next();
        expect("stats", Integer.parseInt(stats.getOrDefault("cmd_set", "0")) > MANY && stats.containsKey("curr_items"), true);
        expect("settings", client.getStats("settings").values().iterator().next().size() > 5, true);
        expect("version", client.getVersions().values().iterator().next().matches("\\d+\\.\\d+\\.\\d+.*"), true);
        expect("servers", client.getAvailableServers().size() + client.getUnavailableServers().size(), 1);
        expect("wait for queues", client.waitForQueues(20, TimeUnit.SECONDS), true);
        expect("get behind it", client.get("added"), "b");
        expect("flush", client.flush().get(), true);
        expect("get flushed", client.getBulk("added", "k", "many-5").size(), 0);
        expect("set behind flush", client.set("k", 0, "v").get(), true);
        expect("get behind flush", client.get("k"), "v");
    }

    private static ConnectionFactoryBuilder factory(boolean isBinary, String[] words) {
        ConnectionFactoryBuilder factory = new ConnectionFactoryBuilder()
            .setProtocol(isBinary ? ConnectionFactoryBuilder.Protocol.BINARY : ConnectionFactoryBuilder.Protocol.TEXT)
            .setHashAlg(DefaultHashAlgorithm.KETAMA_HASH).setOpTimeout(20000).setDaemon(true);
        if (words.length == 5) {
            factory.setAuthDescriptor(new AuthDescriptor(new String[] {"PLAIN"}, new PlainCallbackHandler(words[3], words[4])));
        }
        return factory;
    }

    public static void main(String[] words) throws Exception {
        if (words.length != 3 && words.length != 5) {
            System.err.println("usage: Spymemcached HOST PORT ascii|binary [USER PASSWORD]");
            System.exit(2);
        }
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        Logger.getLogger("net.spy.memcached").setLevel(Level.OFF);
        boolean isBinary = words[2].equals("binary");
        List<InetSocketAddress> servers = AddrUtil.getAddresses(words[0] + ":" + words[1]);
        Spymemcached run = new Spymemcached(new MemcachedClient(factory(isBinary, words).build(), servers), isBinary);
        run.storage();
        run.cas();
        run.counters();
        run.many();
        run.values();
        run.expiry();
        run.keysAndSizes();
        run.manyThreads();
        run.serverFacts();
        run.client.shutdown(20, TimeUnit.SECONDS);
        System.out.println(run.steps + " steps, " + run.faults + " faults");
        System.exit(run.faults == 0 ? 0 : 1);
    }
}
