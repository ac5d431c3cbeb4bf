//! Input: files and standard input, plain or compressed by gzip or zstd, as a
//! whole or line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Bytes of a line, at most: what a message may have.
const LINE_BYTES_MAX: usize = doublon::service::MESSAGE_BYTES_MAX;
/// Bytes of a text that is read as a whole: more than the server takes, so that
/// the server names its limit.
const TEXT_BYTES_READ_MAX: usize = 4 * doublon::engine::article::TEXT_BYTES_MAX;

/// The name of standard input.
pub(super) const STDIN: &str = "-";

/// Reads a text as a whole; `-` is standard input.
pub(super) fn text(name: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let mut reader = open(name)?.take(TEXT_BYTES_READ_MAX as u64 + 1);
    reader.read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() > TEXT_BYTES_READ_MAX {
        bail!("{name} has more than {TEXT_BYTES_READ_MAX} bytes: that is no article");
    }
    decode(name, bytes)
}

fn decode(name: &str, mut bytes: Vec<u8>) -> anyhow::Result<String> {
    const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("{name} is not UTF-8 (at byte {at}): convert it first, as with iconv")
    })
}

/// A line, or why it cannot be read.
pub(super) type Line = Result<String, String>;

/// The lines of a file that are not blank, with their numbers from 1.
pub(super) fn lines(name: &str) -> anyhow::Result<impl Iterator<Item = (u64, Line)> + use<>> {
    Ok(lines_of(open(name)?))
}

pub(super) fn lines_of(
    mut reader: Box<dyn BufRead + Send>,
) -> impl Iterator<Item = (u64, Line)> + use<> {
    let mut number = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        while !ended {
            number += 1;
            match next_line(&mut reader) {
                Ok(None) => return None,
                Ok(Some(Ok(line))) if line.trim().is_empty() => {}
                Ok(Some(line)) => return Some((number, line)),
                Err(error) => {
                    ended = true;
                    return Some((number, Err(format!("the file cannot be read on: {error}"))));
                }
            }
        }
        None
    })
}

fn next_line(mut reader: &mut dyn BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let read = (&mut reader).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(None);
    }
    if read > LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
        reader.skip_until(b'\n')?;
        return Ok(Some(Err(format!("the line has more than {LINE_BYTES_MAX} bytes"))));
    }
    let text = decode("the line", bytes).map_err(|it| it.to_string());
    Ok(Some(text))
}

fn open(name: &str) -> anyhow::Result<Box<dyn BufRead + Send>> {
    let plain: Box<dyn BufRead + Send> = if name == STDIN {
        if io::stdin().is_terminal() {
            super::complain("reading standard input, end it with Ctrl-D");
        }
        Box::new(BufReader::new(io::stdin()))
    } else {
        if Path::new(name).is_dir() {
            bail!("{name} is a folder: give a file");
        }
        let file = File::open(name).with_context(|| format!("{name} cannot be opened"))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    decompressed(plain).with_context(|| format!("{name} cannot be read"))
}

/// Decompresses a file where its first bytes say so.
pub(super) fn decompressed(
    mut plain: Box<dyn BufRead + Send>,
) -> io::Result<Box<dyn BufRead + Send>> {
    Ok(match plain.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(MultiGzDecoder::new(plain))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(BufReader::with_capacity(1 << 16, Zstd::new(plain)))
        }
        _ => plain,
    })
}

type Frame = StreamingDecoder<Source, FrameDecoder>;

/// All zstd frames of a file, one after the other; skippable frames, which
/// parallel and seekable compressors write, are skipped.
struct Zstd {
    frame: Option<Box<Frame>>,
    next: Option<Source>,
}

/// A file, with the bytes that were looked at and put back.
struct Source {
    back: Vec<u8>,
    file: Box<dyn BufRead + Send>,
}

impl Zstd {
    fn new(file: Box<dyn BufRead + Send>) -> Self {
        Self { frame: None, next: Some(Source { back: Vec::new(), file }) }
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.back.is_empty() {
            return self.file.read(out);
        }
        let read = self.back.as_slice().read(out)?;
        self.back.drain(..read);
        Ok(read)
    }
}

impl Source {
    /// Stands before the next frame that has content; `false` at the end.
    fn find_frame(&mut self) -> io::Result<bool> {
        loop {
            let mut magic = Vec::new();
            self.by_ref().take(4).read_to_end(&mut magic)?;
            match magic.as_slice() {
                [] => return Ok(false),
                [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                    let mut length = [0; 4];
                    self.read_exact(&mut length)?;
                    let length = u64::from(u32::from_le_bytes(length));
                    io::copy(&mut self.by_ref().take(length), &mut io::sink())?;
                }
                [0x28, 0xb5, 0x2f, 0xfd] => {
                    self.back = magic;
                    return Ok(true);
                }
                _ => return Err(damaged("what stands behind a zstd frame is none")),
            }
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read =
                    frame.read(out).map_err(|_| damaged("a zstd frame is cut or damaged"))?;
                if read > 0 || out.is_empty() {
                    return Ok(read);
                }
                check_frame(&frame.decoder)?;
                self.next = self.frame.take().map(|it| it.into_inner());
            }
            let Some(mut source) = self.next.take() else { return Ok(0) };
            if !source.find_frame()? {
                return Ok(0);
            }
            let frame = StreamingDecoder::new(source).map_err(|_| {
                damaged("the header of a zstd frame is damaged, or its window is over 128 MiB")
            })?;
            self.frame = Some(Box::new(frame));
        }
    }
}

/// A frame that was read to its end is what was written, if it has a checksum.
pub(super) fn check_frame(frame: &FrameDecoder) -> io::Result<()> {
    let written = frame.get_checksum_from_data();
    if written.is_some() && written != frame.get_calculated_checksum() {
        return Err(damaged("a zstd frame is not what was written"));
    }
    Ok(())
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_beyond_the_limit_is_told_and_the_next_one_is_read() {
        let file = ["x".repeat(LINE_BYTES_MAX - 1), "y".repeat(LINE_BYTES_MAX + 1), "z".into()];
        let file = Box::new(io::Cursor::new(file.join("\n").into_bytes()));
        let lines: Vec<(u64, Line)> = lines_of(file).collect();
        let lengths: Vec<Option<usize>> =
            lines.iter().map(|it| it.1.as_ref().ok().map(String::len)).collect();
        assert_eq!(lengths, [Some(LINE_BYTES_MAX), None, Some(1)]);
        assert_eq!(lines[1].1, Err("the line has more than 16777216 bytes".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Any bytes are lines, in order, or an error; those of a plain file are all there.
        #[test]
        fn any_file_is_read_to_its_end(
            magic in prop_oneof![
                Just(&b""[..]),
                Just(&b"\x1f\x8b\x08"[..]),
                Just(&b"\x28\xb5\x2f\xfd"[..]),
                Just(&b"\x50\x2a\x4d\x18"[..]),
            ],
            rest in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), any::<u8>()], 0..200),
        ) {
            let bytes = [magic, &rest].concat();
            let Ok(file) = decompressed(Box::new(io::Cursor::new(bytes.clone()))) else {
                return Ok(());
            };
            let lines: Vec<(u64, Line)> = lines_of(file).collect();
            prop_assert!(lines.windows(2).all(|it| it[0].0 < it[1].0));
            let is_plain = magic.is_empty() && !bytes.starts_with(&[0x1f, 0x8b]);
            let written = bytes.split(|it| *it == b'\n').count() as u64;
            prop_assert!(!is_plain || lines.iter().all(|it| it.0 <= written));
            for (number, line) in lines.iter().filter(|_| is_plain) {
                let index = usize::try_from(number - 1).unwrap();
                let written = bytes.split(|it| *it == b'\n').nth(index).unwrap();
                let written = written.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(written);
                let read = line.as_ref().ok().map(|it| it.trim_end_matches('\n').as_bytes());
                prop_assert!(read.is_none_or(|it| it == written), "{number}");
            }
        }
    }
}
