//! TensorBoard's event files: TFRecord framing around protobuf `Event` messages.
//!
//! A record is `length: u64 LE | masked crc32c(length): u32 | data | masked crc32c(data): u32`. Of the messages only what
//! scalars need is written: `Event {1: wall_time double, 2: step int64, 3: file_version string,
//! 5: summary, 7: session_log}`, `Summary {1: repeated Value {1: tag string, 2: simple_value float}}`,
//! `SessionLog {1: status enum}` (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes scalars; one file per start of a run, as TensorBoard expects.
pub(crate) struct EventFile {
    file: File,
}

impl EventFile {
    /// Starts a file in `folder`. `steps_done` above 0 says that the run continues after that step: TensorBoard then drops
    /// what older files hold of later ones.
    pub(crate) fn create(folder: &Path, steps_done: u64) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("events.out.tfevents.{}.{}.diptych", now.as_secs(), std::process::id());
        let mut events =
            EventFile { file: File::options().create(true).append(true).open(folder.join(name))? };
        let mut version = event(0);
        bytes_field(&mut version, 3, b"brain.Event:2");
        events.record(&version)?;
        if steps_done > 0 {
            const START: u64 = 1;
            let mut log = Vec::new();
            varint_field(&mut log, 1, START);
            // TensorBoard drops the steps from the event's own on: this one is the first that is written again.
            let mut start = event(steps_done + 1);
            bytes_field(&mut start, 7, &log);
            events.record(&start)?;
        }
        Ok(events)
    }

    /// Writes the scalars of one step.
    pub(crate) fn scalars<'a>(
        &mut self,
        step: u64,
        scalars: impl Iterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes());
            entry.push(2 << 3 | WIRE_FIXED32);
            entry.extend((value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        let mut message = event(step);
        bytes_field(&mut message, 5, &summary);
        self.record(&message)
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        self.file.write_all(&record)
    }
}

const WIRE_VARINT: u8 = 0;
const WIRE_FIXED64: u8 = 1;
const WIRE_BYTES: u8 = 2;
const WIRE_FIXED32: u8 = 5;

fn event(step: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut message = vec![1 << 3 | WIRE_FIXED64];
    message.extend(now.to_le_bytes());
    varint_field(&mut message, 2, step);
    message
}

fn varint_field(message: &mut Vec<u8>, field: u8, value: u64) {
    message.push(field << 3 | WIRE_VARINT);
    varint(message, value);
}

fn bytes_field(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | WIRE_BYTES);
    varint(message, bytes.len() as u64);
    message.extend(bytes);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// TFRecord stores checksums rotated and offset, so that a checksum of data with checksums stays good.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_records_as_tensorflow_does() {
        // TensorFlow's crc32c::Mask of a checksum, rotated by 15 bits and offset.
        let crc = crc32c::crc32c(b"foo");
        let masked = (u64::from(crc) << 17 | u64::from(crc) >> 15) as u32;
        assert_eq!(masked_crc(b"foo"), masked.wrapping_add(0xa282_ead8));
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn writes_varints_of_several_bytes() {
        let mut message = Vec::new();
        varint_field(&mut message, 2, 300);
        assert_eq!(message, [0x10, 0xac, 0x02]);
    }

    /// The messages of the folder's only file, their frames checked.
    fn records(folder: &Path) -> Vec<Vec<u8>> {
        let path = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_crc(data).to_le_bytes());
            records.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        records
    }

    #[test]
    fn every_record_of_a_file_can_be_walked_by_its_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 7).unwrap();
        events.scalars(8, [("loss", 0.5), ("a/b", -1.0)].into_iter()).unwrap();
        let records = records(folder.path());
        assert_eq!(records.len(), 3, "the file's version, the session's start, the scalars");
        assert!(records[2].windows(4).any(|window| window == b"loss"));
        assert!(records[2].windows(4).any(|window| window == 0.5f32.to_le_bytes()));
    }

    #[test]
    fn the_start_of_a_continued_run_names_the_first_step_that_it_writes() {
        // After wall_time (a tag and 8 bytes) comes the step, then the session's log with status START.
        let folder = tempfile::tempdir().unwrap();
        EventFile::create(folder.path(), 7).unwrap();
        assert_eq!(records(folder.path())[1][9..], [2 << 3, 8, 7 << 3 | 2, 2, 1 << 3, 1]);

        let fresh = tempfile::tempdir().unwrap();
        EventFile::create(fresh.path(), 0).unwrap();
        assert_eq!(records(fresh.path()).len(), 1, "a run that begins drops nothing");
    }
}
