//! A file of articles, one JSON object a line, plain or compressed, of any bytes.
#![no_main]

mod cli;

use doublon::api::convert;
use doublon::api::v1;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(lines) = cli::articles(file) else { return };
    assert!(lines.windows(2).all(|it| it[0].0 < it[1].0));
    let compressed = file.starts_with(&[0x1f, 0x8b]) || file.get(1..4) == Some(&[0xb5, 0x2f, 0xfd]);
    assert!(compressed || file.get(1) == Some(&0x2a) || lines.len() <= file.len());
    for (_, line) in lines {
        let Ok(article) = line else { continue };
        // What is printed is on one line, and is read as the same article.
        let printed = cli::line(&article);
        let again = cli::articles(printed.as_bytes()).expect("it is plain");
        assert_eq!(again, [(1, Ok(article.clone()))]);
        let request = v1::PutArticleRequest { article: Some(article), ..Default::default() };
        drop(convert::put_article(request));
    }
});
