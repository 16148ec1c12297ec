//! The memory that batches lie in: plain, or what the trainer brings (pinned, for copies to a GPU).

/// Memory of a fixed size at a fixed address.
pub trait Memory: Send + Sync {
    /// All of it.
    fn bytes(&self) -> &[u8];
    /// All of it, to write.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Gives batches their memory.
pub trait Allocate: Send + Sync {
    /// `bytes` bytes with any content, or why there are none.
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, String>;
}

/// Ordinary memory, aligned to 64 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapAllocator;

impl Allocate for HeapAllocator {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, String> {
        let mut storage = Vec::new();
        storage
            .try_reserve_exact(bytes.saturating_add(ALIGNMENT))
            .map_err(|_| format!("out of memory: {bytes} bytes could not be allocated"))?;
        storage.resize(bytes + ALIGNMENT, 0);
        let start = storage.as_ptr().align_offset(ALIGNMENT);
        Ok(Box::new(AlignedBytes { storage, start, length: bytes }))
    }
}

const ALIGNMENT: usize = 64;

/// Bytes that start on a cache line.
struct AlignedBytes {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl Memory for AlignedBytes {
    fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.length]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_of_the_size_asked_for() {
        for bytes in [0, 1, 63, 4097] {
            let memory = HeapAllocator.allocate(bytes).unwrap();
            assert_eq!(memory.bytes().len(), bytes);
            assert_eq!(memory.bytes().as_ptr().align_offset(64), 0);
        }
    }

    #[test]
    fn too_much_memory_is_an_error() {
        let error = HeapAllocator.allocate(usize::MAX / 2).map(|_| ()).unwrap_err();
        assert!(error.starts_with("out of memory"), "{error}");
    }
}
