//! Operators of every access and format, run as the host runs them.

use diptych_sdk::testing::{OwnedImage, run};
use diptych_sdk::{
    Augmentation, Choice, Error, ImageMut, Images, InPlace, IntoOutput, Parameters, Plan, PlanarF32,
    RandomStream, Region, Rgb8, Scratch, Size,
};

const SIZE: Size = Size { width: 4, height: 3 };

/// Cuts out a rectangle.
struct Cut {
    region: Region,
}

impl Augmentation for Cut {
    const ID: &'static str = "cut";
    const DOC: &'static str = "Cuts out a rectangle.";
    type Access = IntoOutput<Rgb8>;
    type Parameters = ();

    fn new((): ()) -> Result<Self, Error> {
        Ok(Cut { region: Region { x: 1, y: 2, width: 2, height: 1 } })
    }

    fn plan(&mut self, _: Size, _: &mut RandomStream) -> Result<Plan, Error> {
        Ok(Plan::crop(self.region, Size { width: self.region.width, height: self.region.height }))
    }

    fn apply(&mut self, images: Images<'_, Rgb8>, _: Scratch<'_>) -> Result<(), Error> {
        let Images { input, mut output } = images;
        let corner = (self.region.x - input.region().x, self.region.y - input.region().y);
        for y in 0..output.height() {
            let row = &input.row(corner.1 + y)[corner.0 as usize..];
            let width = output.width() as usize;
            output.row_mut(y).copy_from_slice(&row[..width]);
        }
        Ok(())
    }
}

#[test]
fn an_operator_that_crops_reads_only_the_region_that_it_planned() {
    let image = OwnedImage::<Rgb8>::from_fn(SIZE, |x, y| [x as u8, y as u8, 7]);
    let mut result = run(&mut Cut::new(()).unwrap(), &image, &mut RandomStream::new([0, 0])).unwrap();
    assert_eq!(result.pixels(), [[1, 2, 7], [2, 2, 7]]);
}

#[test]
fn a_plan_outside_the_input_is_refused() {
    let image = OwnedImage::<Rgb8>::new(SIZE);
    let mut operator = Cut { region: Region { x: 3, y: 0, width: 2, height: 1 } };
    let error = run(&mut operator, &image, &mut RandomStream::new([0, 0])).err().unwrap();
    assert!(error.to_string().starts_with("the plan reads Region { x: 3"), "{error}");
}

/// Adds a running sum over each row.
struct Sums {
    planned: usize,
    taken: usize,
}

impl Augmentation for Sums {
    const ID: &'static str = "sums";
    const DOC: &'static str = "Replaces a row by its running sums.";
    type Access = InPlace<PlanarF32>;
    type Parameters = ();

    fn new((): ()) -> Result<Self, Error> {
        Ok(Sums { planned: 4, taken: 4 })
    }

    fn plan(&mut self, input: Size, _: &mut RandomStream) -> Result<Plan, Error> {
        Ok(Plan::keep(input).with_scratch::<u8>(1).with_scratch::<f32>(self.planned))
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, mut scratch: Scratch<'_>) -> Result<(), Error> {
        scratch.take::<u8>(1).fill(1);
        let sums = scratch.take::<f32>(self.taken);
        for y in 0..image.height() {
            for row in image.rows_mut(y) {
                let mut sum = 0.0;
                for (total, sample) in sums.iter_mut().zip(row.iter()) {
                    sum += sample;
                    *total = sum;
                }
                row.copy_from_slice(sums);
            }
        }
        Ok(())
    }
}

#[test]
fn planes_and_scratch_slices_do_not_overlap() {
    let image = OwnedImage::<PlanarF32>::from_fn(SIZE, |_, y| [1.0, y as f32, 10.0]);
    let mut result = run(&mut Sums::new(()).unwrap(), &image, &mut RandomStream::new([0, 0])).unwrap();
    let expected: Vec<[f32; 3]> = (0..3)
        .flat_map(|y| (1..=4).map(move |count| [1.0, y as f32, 10.0].map(|value| value * count as f32)))
        .collect();
    assert_eq!(result.pixels(), expected);
}

#[test]
#[should_panic(expected = "`apply` takes 128 bytes of scratch memory, 64 are left")]
fn taking_more_scratch_than_planned_panics() {
    let image = OwnedImage::<PlanarF32>::new(SIZE);
    let _ = run(&mut Sums { planned: 4, taken: 17 }, &image, &mut RandomStream::new([0, 0]));
}

#[test]
fn only_operators_in_place_take_a_probability_unless_they_say_otherwise() {
    let takes_probability = [Sums::TAKES_PROBABILITY, Cut::TAKES_PROBABILITY];
    assert_eq!(takes_probability, [true, false]);
}

/// Every type that a parameter can have.
#[derive(Parameters, Debug, PartialEq)]
struct Everything {
    /// A number.
    #[parameter(default = 0.1, minimum = 0, maximum = 1)]
    ratio: f32,
    /// A range.
    #[parameter(default = [-1.0, 2.5])]
    sigma: [f64; 2],
    /// A count.
    #[parameter(default = 3)]
    count: usize,
    /// A truth value.
    #[parameter(default = true)]
    clip: bool,
    /// A text.
    #[parameter(default = "linear")]
    label: String,
    /// A choice.
    #[parameter(default = Edge::ReflectTwice, id = "edge_mode")]
    edge: Edge,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Edge {
    #[choice("none")]
    Nothing,
    ReflectTwice,
}

#[test]
fn defaults_come_back_through_the_descriptors() {
    let expected = Everything {
        ratio: 0.1,
        sigma: [-1.0, 2.5],
        count: 3,
        clip: true,
        label: "linear".to_owned(),
        edge: Edge::ReflectTwice,
    };
    assert_eq!(Everything::defaults().unwrap(), expected);
    assert_eq!(Edge::TEXTS, ["none", "reflect_twice"]);
    assert_eq!(Edge::VARIANTS[0], Edge::Nothing);
}

/// A parameter without a default.
#[derive(Parameters, Debug)]
struct Required {
    /// Kernel width.
    #[parameter(minimum = 1)]
    #[expect(dead_code, reason = "only its descriptor is looked at")]
    kernel: u32,
}

#[test]
fn defaults_name_a_parameter_that_has_none() {
    let error = Required::defaults().unwrap_err();
    assert_eq!(error.to_string(), "parameter kernel is required and has no default");
}
