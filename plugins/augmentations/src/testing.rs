//! For the operators' tests: images, one call that runs an operator, and the BYOL authors' reference values.

use diptych_sdk::testing::{OutputOf, OwnedImage, PixelsOf, run};
use diptych_sdk::{Access, Augmentation, Error, Parameters, PlanarF32, RandomStream, Rgb8, Size};
use safetensors::{SafeTensors, tensor::TensorView};

/// A float image from its pixels, row by row.
pub fn planar(width: u32, height: u32, pixels: &[[f32; 3]]) -> OwnedImage<PlanarF32> {
    assert_eq!(pixels.len(), (width * height) as usize);
    OwnedImage::<PlanarF32>::from_fn(Size { width, height }, |x, y| pixels[(y * width + x) as usize])
}

/// An 8-bit image from its pixels, row by row.
pub fn rgb8(width: u32, height: u32, pixels: &[[u8; 3]]) -> OwnedImage<Rgb8> {
    assert_eq!(pixels.len(), (width * height) as usize);
    OwnedImage::<Rgb8>::from_fn(Size { width, height }, |x, y| pixels[(y * width + x) as usize])
}

/// Uniform samples in [0, 1).
pub fn random_planar(width: u32, height: u32, seed: u32) -> OwnedImage<PlanarF32> {
    let mut random = RandomStream::new([seed, 77]);
    OwnedImage::<PlanarF32>::from_fn(Size { width, height }, |_, _| [0; 3].map(|_| random.unit() as f32))
}

/// Uniform bytes.
pub fn random_rgb8(width: u32, height: u32, seed: u32) -> OwnedImage<Rgb8> {
    let mut random = RandomStream::new([seed, 78]);
    OwnedImage::<Rgb8>::from_fn(Size { width, height }, |_, _| [0; 3].map(|_| random.below(256) as u8))
}

/// The stream that the host would hand to an operator for `seed`: its first draw is the host's coin.
pub fn stream(seed: u32) -> RandomStream {
    RandomStream { key: [seed, 5], draw: 1 }
}

/// What `operator` makes of `image`.
pub fn made<A: Augmentation>(
    operator: &mut A,
    image: &OwnedImage<PixelsOf<A>>,
    seed: u32,
) -> OwnedImage<OutputOf<A>> {
    run(operator, image, &mut stream(seed)).unwrap()
}

/// Replaces `image` by what `operator`, which keeps its format, makes of it.
pub fn changed<A: Augmentation>(operator: &mut A, image: &mut OwnedImage<OutputOf<A>>, seed: u32)
where
    A::Access: Access<Pixels = OutputOf<A>>,
{
    *image = made(operator, image, seed);
}

/// An operator as TOML without parameters makes it.
pub fn with_defaults<A: Augmentation>() -> A {
    A::new(A::Parameters::defaults().unwrap()).unwrap()
}

/// The message of an error that must have occurred.
pub fn refused<T>(result: Result<T, Error>) -> String {
    result.err().expect("expected an error").to_string()
}

/// Draws that `plan` consumed: the same for all parameters, so that changing one leaves the others' draws.
pub fn draws_of<A: Augmentation>(operator: &mut A, input: Size) -> u64 {
    let mut random = stream(1);
    operator.plan(input, &mut random).unwrap();
    random.draw - 1
}

/// Panics unless all samples agree to `tolerance`, and names the worst.
pub fn assert_close(found: &[[f32; 3]], expected: &[[f32; 3]], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let mut worst = (0.0, 0);
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        for channel in 0..3 {
            let difference = (found[channel] - expected[channel]).abs();
            assert!(!difference.is_nan(), "pixel {index}: found {found:?}");
            if difference > worst.0 {
                worst = (difference, index);
            }
        }
    }
    let (difference, index) = worst;
    assert!(
        difference <= tolerance,
        "pixel {index} differs by {difference}: found {:?}, expected {:?}",
        found[index],
        expected[index]
    );
}

/// Every reference image with what the BYOL authors' function `name` made of it.
pub fn byol_images(name: &str) -> Vec<(OwnedImage<PlanarF32>, Vec<[f32; 3]>)> {
    with_reference("byol_reference", |tensors| {
        (0..3)
            .map(|index| {
                let input = tensors.tensor(&format!("image{index}.input")).unwrap();
                let [height, width, 3] = *input.shape() else { panic!("expected [height, width, 3]") };
                let expected = floats(&tensors.tensor(&format!("image{index}.{name}")).unwrap());
                (planar(width as u32, height as u32, &unit_pixels(input.data())), expected)
            })
            .collect()
    })
}

/// 8-bit pixels as floats.
fn unit_pixels(bytes: &[u8]) -> Vec<[f32; 3]> {
    bytes.as_chunks::<3>().0.iter().map(|pixel| pixel.map(|sample| f32::from(sample) / 255.0)).collect()
}

/// The image that torchvision was given, and what its function `name` made of it.
pub fn torchvision_image(name: &str) -> (OwnedImage<PlanarF32>, Vec<[f32; 3]>) {
    with_reference("torchvision_reference", |tensors| {
        let input = tensors.tensor("image").unwrap();
        let [height, width, 3] = *input.shape() else { panic!("expected [height, width, 3]") };
        (
            planar(width as u32, height as u32, &unit_pixels(input.data())),
            floats(&tensors.tensor(name).unwrap()),
        )
    })
}

/// The image that Pillow was given as `name`.
pub fn pillow_image(name: &str) -> OwnedImage<Rgb8> {
    with_reference("pillow_reference", |tensors| {
        let input = tensors.tensor(name).unwrap();
        let [height, width, 3] = *input.shape() else { panic!("expected [height, width, 3]") };
        rgb8(width as u32, height as u32, input.data().as_chunks::<3>().0)
    })
}

/// What Pillow made of the image `name`, by operation and amount.
pub fn pillow_images(name: &str) -> Vec<(String, Vec<[u8; 3]>)> {
    with_reference("pillow_reference", |tensors| {
        let made = tensors.iter().filter_map(|(full, tensor)| {
            let operation = full.strip_prefix(name)?.strip_prefix('.')?;
            Some((operation.to_owned(), tensor.data().as_chunks::<3>().0.to_vec()))
        });
        made.collect()
    })
}

/// Mean area, mean logarithm of width / height, and mean left edge over the room for it, of the crops that `library`
/// (`tensorflow`, `torchvision`) drew under `name`.
pub fn reference_crops(library: &str, name: &str) -> [f64; 3] {
    with_reference(&format!("{library}_reference"), |tensors| {
        let crop = tensors.tensor(name).unwrap();
        let values = crop.data().as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes));
        values.collect::<Vec<_>>().try_into().unwrap()
    })
}

fn with_reference<T>(file: &str, read: impl FnOnce(&SafeTensors<'_>) -> T) -> T {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference");
    let file = std::fs::read(format!("{folder}/{file}.safetensors")).unwrap();
    read(&SafeTensors::deserialize(&file).unwrap())
}

fn floats(tensor: &TensorView<'_>) -> Vec<[f32; 3]> {
    let samples: Vec<f32> =
        tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    samples.as_chunks::<3>().0.to_vec()
}
