//! Lines of an export: any bytes are read or refused, and what is read comes back as it
//! was written.
#![no_main]

use doublon::fuzzing::export_line_again;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, line)) = input.split_first() else { return };
    let is_first = first % 8 == 0;
    if let Some(written) = export_line_again(line, is_first) {
        assert!(!written.contains('\n'));
        assert_eq!(export_line_again(written.as_bytes(), is_first).as_ref(), Some(&written));
    }
});
