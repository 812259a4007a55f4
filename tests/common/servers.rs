//! Real servers on loopback, each in a folder of its own, gone when the value is dropped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::http;

/// What a server said, in its folder.
const LOG: &str = "log.txt";

/// Longest a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
struct Process {
    child: Child,
    port: u16,
    program: &'static str,
    ready: &'static str,
    args: Vec<String>,
    /// Removed when the process is gone.
    dir: Option<TempDir>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts `program` on a free port and waits until `ready` answers 200. A port that someone else took meanwhile is
    /// tried again with another.
    fn start(
        program: &'static str,
        ready: &'static str,
        dir: TempDir,
        args: impl Fn(u16, &Path) -> Vec<String>,
    ) -> Self {
        for _ in 0..3 {
            let port = free_port();
            let args = args(port, dir.path());
            let mut process = Self {
                child: spawn(program, &args, dir.path()),
                port,
                program,
                ready,
                args,
                dir: None,
            };
            if process.wait() {
                process.dir = Some(dir);
                return process;
            }
            let said = fs::read_to_string(dir.path().join(LOG)).unwrap_or_default();
            assert!(
                said.contains("address already in use"),
                "{program} did not come up:\n{said}"
            );
        }
        panic!("{program} finds no free port");
    }

    fn wait(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if matches!(
                http::request(self.port, "GET", self.ready, &[]),
                Ok((200, _))
            ) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

/// Starts `program`, which writes what it says into the folder's log.
fn spawn(program: &str, args: &[String], dir: &Path) -> Child {
    let output = File::create(dir.join(LOG)).unwrap();
    Command::new(binary(program))
        .args(args)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}

/// Sends `signal` (such as `STOP`) to a process.
pub fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success(), "kill -{signal} {pid}");
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Where a program is installed.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "`{name}` is not installed; run tests/run.sh, which installs what the tests need"
            )
        })
}

/// Seconds since the epoch, `hours` before now, on a full hour.
pub fn hours_ago(hours: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    (now / 3600 - hours) * 3600
}

/// One series with its samples: what is put into a server before a test.
#[derive(Clone, Debug)]
pub struct History {
    /// Metric name.
    pub name: String,
    /// Labels in order.
    pub labels: Vec<(String, String)>,
    /// Seconds since the epoch, and values, in time order.
    pub samples: Vec<(i64, f64)>,
}

impl History {
    /// A series `name{labels}`.
    pub fn new(name: &str, labels: &[(&str, &str)], samples: Vec<(i64, f64)>) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            name: name.to_owned(),
            labels: labels.iter().map(owned).collect(),
            samples,
        }
    }

    fn selector(&self) -> String {
        let pairs: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        format!("{}{{{}}}", self.name, pairs.join(","))
    }
}

/// Something that a [`Prometheus`] scrapes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Label `job`.
    pub job: String,
    /// Port on loopback.
    pub port: u16,
}

/// A Prometheus server.
pub struct Prometheus(Process);

impl Prometheus {
    /// With `series` backfilled. They must end two hours before now or earlier: the rest belongs to the server's head.
    pub fn with_history(series: &[History]) -> Self {
        Self::start(series, &[])
    }

    /// With `series` backfilled, scraping `targets` every second.
    pub fn start(series: &[History], targets: &[Target]) -> Self {
        let dir = TempDir::new().unwrap();
        if !series.is_empty() {
            backfill(series, dir.path());
        }
        let mut config =
            String::from("global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n");
        let mut jobs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for target in targets {
            let address = format!("\"127.0.0.1:{}\"", target.port);
            jobs.entry(&target.job).or_default().push(address);
        }
        for (job, addresses) in jobs {
            let addresses = addresses.join(", ");
            writeln!(
                config,
                "  - {{ job_name: {job:?}, static_configs: [ {{ targets: [ {addresses} ] }} ] }}"
            )
            .unwrap();
        }
        if targets.is_empty() {
            config = config.replace("scrape_configs:\n", "scrape_configs: []\n");
        }
        let config_file = dir.path().join("prometheus.yml");
        fs::write(&config_file, config).unwrap();
        let data = dir.path().join("data");
        Self(Process::start("prometheus", "/-/ready", dir, |port, _| {
            vec![
                format!("--config.file={}", config_file.display()),
                format!("--storage.tsdb.path={}", data.display()),
                "--storage.tsdb.retention.time=10y".into(),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--web.enable-remote-write-receiver".into(),
                "--log.level=warn".into(),
            ]
        }))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// It hangs: connections stand, nothing is answered, until [`Prometheus::thaw`].
    pub fn freeze(&self) {
        signal(self.0.child.id(), "STOP");
        // The system takes its time to stop all threads.
        while http::answers(self.0.port, "/-/ready") {}
    }

    /// Ends [`Prometheus::freeze`].
    pub fn thaw(&self) {
        signal(self.0.child.id(), "CONT");
    }

    /// It is gone without a word.
    pub fn crash(&mut self) {
        self.0.child.kill().unwrap();
        self.0.child.wait().unwrap();
    }

    /// Starts it again after [`Prometheus::crash`], with the port and the data that it had.
    pub fn restart(&mut self) {
        let process = &mut self.0;
        let dir = process.dir.as_ref().unwrap().path();
        process.child = spawn(process.program, &process.args, dir);
        assert!(process.wait(), "{} did not come up again", process.program);
    }

    /// What an instant query gives now: labels and value of each series.
    pub fn ask(&self, promql: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let path = format!("/api/v1/query?query={}", http::escaped(promql));
        let answer: serde_json::Value =
            serde_json::from_str(&http::get(self.0.port, &path)).unwrap();
        let series = answer["data"]["result"].as_array().unwrap().iter();
        series
            .map(|one| {
                let labels = serde_json::from_value(one["metric"].clone()).unwrap();
                let value = one["value"][1].as_str().unwrap().parse().unwrap();
                (labels, value)
            })
            .collect()
    }

    /// How many range queries it has answered, by its own count; by status code.
    pub fn range_queries(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in http::get(self.0.port, "/metrics").lines() {
            let Some(rest) = line.strip_prefix("prometheus_http_requests_total{code=\"") else {
                continue;
            };
            let (code, rest) = rest.split_once('"').unwrap();
            if let Some(count) = rest.strip_prefix(",handler=\"/api/v1/query_range\"} ") {
                counts.insert(code.to_owned(), count.parse().unwrap());
            }
        }
        counts
    }

    /// Bytes of all its answers to range queries, as they went over the wire.
    pub fn range_query_bytes(&self) -> f64 {
        let name = "prometheus_http_response_size_bytes_sum{handler=\"/api/v1/query_range\"} ";
        http::get(self.0.port, "/metrics")
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map_or(0.0, |bytes| bytes.parse().unwrap())
    }

    /// All range queries that it has answered.
    pub fn range_query_count(&self) -> u64 {
        self.range_queries().values().sum()
    }
}

fn backfill(series: &[History], dir: &Path) {
    let mut families: BTreeMap<&str, Vec<&History>> = BTreeMap::new();
    for one in series {
        families.entry(&one.name).or_default().push(one);
    }
    let mut text = String::new();
    for (name, members) in families {
        writeln!(text, "# TYPE {name} gauge").unwrap();
        for one in members {
            let selector = one.selector();
            for (time, value) in &one.samples {
                writeln!(text, "{selector} {value} {time}").unwrap();
            }
        }
    }
    text.push_str("# EOF\n");
    let file = dir.join("history.om");
    fs::write(&file, text).unwrap();
    let made = Command::new(binary("promtool"))
        .args([
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=240h",
        ])
        .arg(&file)
        .arg(dir.join("data"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "promtool does not take the history: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// A node_exporter: this machine's metrics.
pub struct NodeExporter(Process);

impl NodeExporter {
    /// Starts one.
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        Self(Process::start(
            "prometheus-node-exporter",
            "/metrics",
            dir,
            |port, _| vec![format!("--web.listen-address=127.0.0.1:{port}")],
        ))
    }

    /// Its label `instance` in a server that scrapes it.
    pub fn instance(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// As something to scrape, under the job `node`.
    pub fn target(&self) -> Target {
        Target {
            job: "node".into(),
            port: self.0.port,
        }
    }
}

/// A VictoriaMetrics server.
pub struct VictoriaMetrics(Process);

impl VictoriaMetrics {
    /// Starts one without any data.
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        Self(Process::start(
            "victoria-metrics",
            "/health",
            dir,
            |port, home| {
                vec![
                    format!("-storageDataPath={}", home.join("data").display()),
                    format!("-httpListenAddr=127.0.0.1:{port}"),
                    "-retentionPeriod=10y".into(),
                ]
            },
        ))
    }

    /// Imports series; they can be queried when this returns.
    pub fn import(&self, series: &[History]) {
        let mut text = String::new();
        for one in series {
            let selector = one.selector();
            for (time, value) in &one.samples {
                writeln!(text, "{selector} {value} {}", time * 1000).unwrap();
            }
        }
        let path = "/api/v1/import/prometheus";
        let (status, said) = http::request(self.0.port, "POST", path, text.as_bytes()).unwrap();
        assert_eq!(status, 204, "import: {said}");
        http::get(self.0.port, "/internal/force_flush");
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }
}
