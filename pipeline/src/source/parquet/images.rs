//! One row group's images: where each lies in the file, found out as samples are read.
//!
//! First the pages are found, from the file's offset index or from page to page; then, when a page is first read, the
//! place of each of its values. Many files hold all images of a row group in one dictionary page, 10 to 100 MB of it, so
//! that reading it whole for a sample won't do: a value is read by its place where pages are stored as they are or
//! compressed with Snappy, as Hugging Face's are. Other codecs cost a page per sample.
//!
//! Nobody waits: workers that need the same place at once each find it, and the first one's is kept.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::Result;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::ChunkReader;

use super::chunk::{Chunk, Given, contained, general, values};
use super::file::{StoredFile, Watched};
use super::snappy::Blocks;

/// The images of a row group.
#[derive(Debug)]
pub(super) struct Images {
    chunk: Chunk,
    pages: OnceLock<Pages>,
}

/// The pages of a column chunk.
#[derive(Debug)]
struct Pages {
    dictionary: Option<Dictionary>,
    data: Vec<DataPage>,
}

#[derive(Debug)]
struct Dictionary {
    range: Range<u64>,
    entries: OnceLock<Entries>,
}

#[derive(Debug)]
struct Entries {
    body: Body,
    places: Box<[Place]>,
}

#[derive(Debug)]
struct DataPage {
    range: Range<u64>,
    rows: Range<usize>,
    values: OnceLock<Values>,
}

/// What a data page holds for its rows.
#[derive(Debug)]
enum Values {
    /// The values; `None` for a null.
    Plain { body: Body, places: Box<[Option<Place>]> },
    /// Numbers of entries of the dictionary.
    Numbers(Box<[Option<u32>]>),
    /// Values that lie nowhere as they are.
    Encoded,
}

/// Where a value lies in a page's content.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u32,
    bytes: u32,
}

/// A page's content, header and levels left out.
#[derive(Debug)]
enum Body {
    /// Stored as it is, from this place in the file on.
    Stored(u64),
    /// From this place on, compressed in blocks.
    Snappy(u64, Blocks),
    /// Compressed so that only the whole page can be read; the bytes of it that are levels.
    Whole(Range<u64>, usize),
}

/// A page, decompressed, and how it lies in the file.
struct Decoded {
    page: Page,
    range: Range<u64>,
    /// Where what follows the header begins.
    body: u64,
}

impl Images {
    /// The images in `chunk`, whose data pages lie at `locations` where that is known.
    pub fn new(chunk: Chunk, locations: Option<&[PageLocation]>) -> Images {
        let pages = OnceLock::new();
        if let Some(located) = locations.and_then(|locations| Pages::located(&chunk, locations)) {
            let _ = pages.set(located);
        }
        Images { chunk, pages }
    }

    pub fn rows(&self) -> usize {
        self.chunk.rows
    }

    /// Replaces the content of `data` by the image in `row`; `false` for a null.
    pub fn read(&self, file: &StoredFile, row: usize, data: &mut Vec<u8>) -> Result<bool> {
        contained(|| self.find_and_read(file, row, data))
    }

    fn find_and_read(&self, file: &StoredFile, row: usize, data: &mut Vec<u8>) -> Result<bool> {
        let pages = kept(&self.pages, || Pages::walked(&self.chunk, file))?;
        let number = pages.data.partition_point(|page| page.rows.end <= row);
        let page = &pages.data[number];
        let row = row - page.rows.start;
        match kept(&page.values, || self.values(file, pages, page))? {
            Values::Plain { body, places } => {
                let Some(place) = places[row] else { return Ok(false) };
                body.read(self, file, place, data)?;
            }
            Values::Numbers(numbers) => {
                let Some(number) = numbers[row] else { return Ok(false) };
                let entries = self.entries(file, pages)?;
                // Numbers were checked when they were found.
                entries.body.read(self, file, entries.places[number as usize], data)?;
            }
            Values::Encoded => {
                let decoded = self.decode(file, &page.range)?;
                let found = values::<ByteArrayType>(
                    &self.chunk.column,
                    Box::new(Given([decoded.page].into())),
                    page.rows.len(),
                )?;
                let Some(value) = &found[row] else { return Ok(false) };
                data.clear();
                data.extend_from_slice(value.data());
            }
        }
        Ok(true)
    }

    fn decode(&self, file: &StoredFile, range: &Range<u64>) -> Result<Decoded> {
        let watched = Arc::new(Watched::new(file));
        let page = self.chunk.pages(&watched, range)?.get_next_page()?;
        let page = page.ok_or_else(|| general("no page where one should be"))?;
        Ok(Decoded { page, range: range.clone(), body: watched.body() })
    }

    /// Where the values of `page` lie.
    fn values(&self, file: &StoredFile, pages: &Pages, page: &DataPage) -> Result<Values> {
        let decoded = self.decode(file, &page.range)?;
        let rows = page.rows.len();
        let column = &self.chunk.column;
        let encoding = decoded.page.encoding();
        if matches!(encoding, Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY) {
            let count = self.entries(file, pages)?.places.len();
            // In place of the entries the crate gets their numbers, and hands out those.
            let given = Given([numbered(count), decoded.page].into());
            let found = values::<ByteArrayType>(column, Box::new(given), rows)?;
            let numbers = found.iter().map(|value| value.as_ref().map(number).transpose());
            return Ok(Values::Numbers(numbers.collect::<Result<_>>()?));
        }
        let given = Given([decoded.page.clone()].into());
        let found = values::<ByteArrayType>(column, Box::new(given), rows)?;
        let prefix = match encoding {
            Encoding::PLAIN => 4,
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 0,
            _ => return Ok(Values::Encoded),
        };
        let content = decoded.content();
        // In both encodings the values are the page's end; whether they are is looked at before it is believed.
        let bytes: usize = found.iter().flatten().map(|value| prefix + value.len()).sum();
        let Some(mut offset) = content.len().checked_sub(bytes) else { return Ok(Values::Encoded) };
        let mut places = Vec::with_capacity(rows);
        for value in &found {
            let Some(value) = value else {
                places.push(None);
                continue;
            };
            let start = offset + prefix;
            offset = start + value.len();
            if content[start..offset] != *value.data() {
                return Ok(Values::Encoded);
            }
            places.push(Some(Place::new(start, value.len())?));
        }
        let body = decoded.placed(&self.chunk, file)?;
        Ok(Values::Plain { body, places: places.into() })
    }

    /// Where the entries of the dictionary lie.
    fn entries<'a>(&self, file: &StoredFile, pages: &'a Pages) -> Result<&'a Entries> {
        let dictionary =
            pages.dictionary.as_ref().ok_or_else(|| general("no dictionary before its numbers"))?;
        kept(&dictionary.entries, || {
            let decoded = self.decode(file, &dictionary.range)?;
            let Page::DictionaryPage { buf, num_values, encoding, .. } = &decoded.page else {
                return Err(general("no dictionary before its numbers"));
            };
            if !matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY) {
                return Err(general(&format!("a dictionary encoded as {encoding}")));
            }
            let mut places = Vec::new();
            let mut offset = 0;
            for _ in 0..*num_values {
                let prefix = buf.get(offset..).and_then(|rest| rest.first_chunk());
                let start = offset + 4;
                let bytes = prefix.map_or(usize::MAX, |prefix| u32::from_le_bytes(*prefix) as usize);
                if bytes > buf.len().saturating_sub(start) {
                    return Err(general("a dictionary that is shorter than its entries"));
                }
                places.push(Place::new(start, bytes)?);
                offset = start + bytes;
            }
            Ok(Entries { body: decoded.placed(&self.chunk, file)?, places: places.into() })
        })
    }
}

impl Pages {
    /// The pages at the places that the file's offset index tells; `None` for places that can't be right.
    fn located(chunk: &Chunk, locations: &[PageLocation]) -> Option<Pages> {
        let mut data = Vec::with_capacity(locations.len());
        for (number, location) in locations.iter().enumerate() {
            let start = u64::try_from(location.offset).ok()?;
            let end = start.checked_add(u64::try_from(location.compressed_page_size).ok()?)?;
            let first = usize::try_from(location.first_row_index).ok()?;
            let next = match locations.get(number + 1) {
                Some(next) => usize::try_from(next.first_row_index).ok()?,
                None => chunk.rows,
            };
            data.push(DataPage { range: start..end, rows: first..next, values: OnceLock::new() });
        }
        let first = data.first()?.range.start;
        let in_order = data.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start);
        let fits = chunk.range.start <= first && data.last()?.range.end <= chunk.range.end;
        let rows = data[0].rows.start == 0 && data.iter().all(|page| page.rows.start <= page.rows.end);
        // What lies before the first data page is the dictionary.
        let dictionary = (chunk.range.start < first)
            .then(|| Dictionary { range: chunk.range.start..first, entries: OnceLock::new() });
        (in_order && fits && rows).then_some(Pages { dictionary, data })
    }

    /// The pages, found from one's header to the next.
    fn walked(chunk: &Chunk, file: &StoredFile) -> Result<Pages> {
        let watched = Arc::new(Watched::new(file));
        let mut reader = chunk.pages(&watched, &chunk.range)?;
        // Begin and number of rows; none for a dictionary.
        let mut found: Vec<(u64, Option<usize>)> = Vec::new();
        while let Some(page) = reader.peek_next_page()? {
            // As many as levels where nothing repeats.
            let rows = page.num_rows.or(page.num_levels).unwrap_or(0);
            found.push((watched.header(), (!page.is_dict).then_some(rows)));
            reader.skip_next_page()?;
        }
        let mut pages = Pages { dictionary: None, data: Vec::with_capacity(found.len()) };
        let mut first = 0_usize;
        for (number, (start, rows)) in found.iter().enumerate() {
            let end = found.get(number + 1).map_or(chunk.range.end, |next| next.0);
            match rows {
                None => {
                    pages.dictionary = Some(Dictionary { range: *start..end, entries: OnceLock::new() });
                }
                Some(rows) => {
                    let rows = first..first.saturating_add(*rows);
                    first = rows.end;
                    pages.data.push(DataPage { range: *start..end, rows, values: OnceLock::new() });
                }
            }
        }
        if first != chunk.rows {
            return Err(general(&format!("pages of {first} rows in a row group of {}", chunk.rows)));
        }
        Ok(pages)
    }
}

impl Decoded {
    /// Bytes of levels, which lie uncompressed before the content in pages of version 2.
    fn levels(&self) -> usize {
        match &self.page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                *def_levels_byte_len as usize + *rep_levels_byte_len as usize
            }
            _ => 0,
        }
    }

    fn content(&self) -> Bytes {
        self.page.buffer().slice(self.levels()..)
    }

    /// How to read parts of the content.
    fn placed(&self, chunk: &Chunk, file: &StoredFile) -> Result<Body> {
        let levels = self.levels();
        let start = self.body + levels as u64;
        let stored = matches!(self.page, Page::DataPageV2 { is_compressed: false, .. });
        Ok(match chunk.codec {
            _ if stored => Body::Stored(start),
            Compression::UNCOMPRESSED => Body::Stored(start),
            Compression::SNAPPY => {
                let stream = file.get_bytes(start, usize::try_from(self.range.end.saturating_sub(start))?)?;
                match Blocks::of(&stream) {
                    Some(blocks) => Body::Snappy(start, blocks),
                    None => Body::Whole(self.range.clone(), levels),
                }
            }
            _ => Body::Whole(self.range.clone(), levels),
        })
    }
}

impl Body {
    /// Replaces the content of `data` by what lies at `place`.
    fn read(&self, images: &Images, file: &StoredFile, place: Place, data: &mut Vec<u8>) -> Result<()> {
        let range = place.offset as usize..place.offset as usize + place.bytes as usize;
        match self {
            Body::Stored(start) => {
                data.resize(range.len(), 0);
                file.read_exact_at(data, start + range.start as u64)?;
            }
            Body::Snappy(start, blocks) => {
                blocks.read(range, |bytes, at| file.read_exact_at(bytes, start + at), data)?;
            }
            Body::Whole(page, levels) => {
                let decoded = images.decode(file, page)?;
                let value = decoded.page.buffer().get(levels + range.start..levels + range.end);
                let value = value.ok_or_else(|| general("a page that is shorter than before"))?;
                data.clear();
                data.extend_from_slice(value);
            }
        }
        Ok(())
    }
}

impl Place {
    fn new(offset: usize, bytes: usize) -> Result<Place> {
        Ok(Place { offset: u32::try_from(offset)?, bytes: u32::try_from(bytes)? })
    }
}

/// What `cell` holds, or what `find` finds; that is then kept, unless another's was faster.
fn kept<T>(cell: &OnceLock<T>, find: impl FnOnce() -> Result<T>) -> Result<&T> {
    match cell.get() {
        Some(known) => Ok(known),
        None => find().map(|found| cell.get_or_init(|| found)),
    }
}

/// A dictionary of `count` entries, each of which is its own number.
fn numbered(count: usize) -> Page {
    let entry = |number: u32| 4_u32.to_le_bytes().into_iter().chain(number.to_le_bytes());
    let buf: Vec<u8> = (0..count as u32).flat_map(entry).collect();
    Page::DictionaryPage {
        buf: buf.into(),
        num_values: count as u32,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    }
}

/// The number that an entry of [`numbered`] is.
fn number(entry: &ByteArray) -> Result<u32> {
    let bytes = entry.data().try_into().map_err(|_| general("numbers of no dictionary's entries"))?;
    Ok(u32::from_le_bytes(bytes))
}
