//! Three layouts of postings on the same cluster: bytes and server time a posting, and how
//! long a look-up of many keys takes.

use std::time::Instant;

use doublon::cluster::{Cluster, Command};
use doublon::hash;

use crate::redis;

/// Postings, measured and as a smoke test, and how many share a group.
const POSTINGS: (u64, u64) = (1_000_000, 2_000);
const GROUP_POSTINGS: u64 = 32;
/// Postings of one article, which go together, and keys of one question.
const TOGETHER: u64 = 207;
const ASKED: u64 = 28;
const QUESTIONS: (u64, u64) = (2_000, 10);

#[derive(Debug, Clone, Copy)]
enum Layout {
    /// Appended to the string of a group.
    Appended,
    /// Members of a sorted set of a group, looked up by lexical range.
    Sorted,
    /// A set for each key.
    Sets,
}

impl Layout {
    fn add(self, cluster: &Cluster, groups: u64, (key, number): (u64, u64)) -> Command {
        let (tag, number) = (key.to_le_bytes(), number.to_le_bytes());
        let (tag, number) = (&tag[..3], &number[..4]);
        match self {
            Self::Appended => {
                Command::new("APPEND", &self.key(cluster, key % groups)).arg([tag, number].concat())
            }
            Self::Sorted => Command::new("ZADD", &self.key(cluster, key % groups))
                .arg(0)
                .arg([tag, number].concat()),
            Self::Sets => Command::new("SADD", &self.key(cluster, key)).arg(number),
        }
    }

    fn ask(self, cluster: &Cluster, groups: u64, key: u64) -> Command {
        let tag = &key.to_le_bytes()[..3];
        match self {
            Self::Appended => Command::new("GET", &self.key(cluster, key % groups)),
            Self::Sorted => Command::new("ZRANGEBYLEX", &self.key(cluster, key % groups))
                .arg([b"[", tag].concat())
                .arg([b"[", tag, &[0xff; 4]].concat()),
            Self::Sets => Command::new("SMEMBERS", &self.key(cluster, key)),
        }
    }

    fn key(self, cluster: &Cluster, group: u64) -> Vec<u8> {
        cluster.key(format_args!("{self:?}:{group:x}"))
    }
}

/// Prints the table.
pub(crate) fn measure(servers: &redis::Cluster, is_measured: bool) {
    let size = |it: (u64, u64)| if is_measured { it.0 } else { it.1 };
    let (postings, questions) = (size(POSTINGS), size(QUESTIONS));
    let cluster = Cluster::connect(servers.settings("layouts")).unwrap();
    println!(
        "\nlayout     bytes/posting  us/posting (servers)  postings/s  us/question (servers)  questions/s"
    );
    let groups = postings / GROUP_POSTINGS;
    for layout in [Layout::Appended, Layout::Sorted, Layout::Sets] {
        servers.clear();
        let (memory, spent) = (servers.memory(), servers.micros());
        let begun = Instant::now();
        let mut number = 0;
        while number < postings {
            let all = (number..number + 16 * TOGETHER)
                .map(|it| (hash::mix(it % (postings * 3 / 4)), it / TOGETHER));
            let commands: Vec<Command> = all.map(|it| layout.add(&cluster, groups, it)).collect();
            cluster.write_all(&commands).unwrap();
            number += 16 * TOGETHER;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let bytes = (servers.memory() - memory) as f64 / number as f64;
        let micros = (servers.micros() - spent) as f64 / number as f64;
        let spent = servers.micros();
        let begun = Instant::now();
        for question in 0..questions {
            let keys = (0..ASKED).map(|it| hash::mix(question * ASKED + it));
            let commands: Vec<Command> = keys.map(|it| layout.ask(&cluster, groups, it)).collect();
            assert_eq!(cluster.read_all(&commands).unwrap(), commands.len());
        }
        let asked = begun.elapsed().as_secs_f64();
        let asked_micros = (servers.micros() - spent) as f64 / questions as f64;
        println!(
            "{:10} {bytes:13.1} {micros:21.2} {:11.0} {asked_micros:22.1} {:12.0}",
            format!("{layout:?}"),
            number as f64 / seconds,
            questions as f64 / asked,
        );
    }
    servers.clear();
}
