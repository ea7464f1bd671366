using Coppice.Server.Trust;
using Coppice.Trust;
using static Coppice.Server.Tests.Trust.TreeFixture;

namespace Coppice.Server.Tests.Trust;

public sealed class RepositoryCrashTests
{
    const string Plan = "rollouts/plant/bearing/plan.json";

    public static TheoryData<string> Changes => ["release", "plan", "refresh", "root"];

    [Theory, MemberData(nameof(Changes))]
    public void A_power_cut_at_any_step_leaves_the_state_before_or_after_and_the_next_try_completes_it(string change)
    {
        using var repository = new TreeFixture();
        repository.Release("1.0.0", Now);
        repository.Tree.SetPlan(Plan, "one"u8.ToArray(), Now);
        var now = Now.AddDays(5);
        repository.Tree.RefreshExpiry(now);

        var steps = 0;
        for (var round = 0; ; round++)
        {
            // One device has followed from the start of the round, one comes new.
            var device = repository.Updated(now);
            var before = Seen(device);
            now = now.AddDays(5);
            var metadata = repository.Prepare(now, $"2.0.{round}");
            var root = new RootDraft(MetadataFile.ReadRoot(repository.Tree.CurrentRoot()).Signed).Sign(now.AddDays(365), repository.Keys.Root[0]);
            void Change(RepositoryTree tree)
            {
                switch (change)
                {
                    case "release":
                        tree.AddRelease(Manifest($"2.0.{round}"), metadata, now);
                        break;
                    case "plan":
                        tree.SetPlan(Plan, System.Text.Encoding.UTF8.GetBytes($"plan {round}"), now);
                        break;
                    case "root":
                        tree.AddRoot(root, now);
                        break;
                    default:
                        tree.RefreshExpiry(now);
                        break;
                }
            }

            var cut = false;
            try
            {
                Change(new RepositoryTree(new FailingFiles(repository.Files, steps), repository.Keys.Online));
            }
            catch (PowerCutException)
            {
                cut = true;
            }

            // The timestamp before may have run out by now; by its own time it is whole.
            var judged = now.AddDays(-5).AddHours(1);
            device.Update(judged);
            var after = Seen(device);
            Assert.Equal(after, Seen(repository.Updated(judged)));

            Change(repository.Tree);
            repository.Tree.RefreshExpiry(now);
            device.Update(now);
            Assert.Equal(Seen(device), Seen(repository.Updated(now)));
            Assert.Contains(after, new[] { before, Seen(device) });
            if (!cut)
            {
                Assert.True(steps >= 8, $"only {steps} steps were cut");
                return;
            }
            steps++;
        }
    }

    [Fact]
    public void A_repository_cut_while_it_is_made_is_made_again()
    {
        for (var steps = 0; ; steps++)
        {
            var folder = Directory.CreateTempSubdirectory("coppice-tree-").FullName;
            using var keys = RepositoryKeys.Create();
            var files = new TreeFolder(folder);
            try
            {
                new RepositoryTree(new FailingFiles(files, steps), keys.Online).Initialise(keys, Now);
                Assert.True(steps > 20);
                return;
            }
            catch (PowerCutException)
            {
                var tree = new RepositoryTree(files, keys.Online);
                var root = tree.IsInitialised ? tree.CurrentRoot() : tree.Initialise(keys, Now);
                new TreeClient(files, root).Update(Now);
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }

    [Fact]
    public void What_a_dead_writer_left_is_removed_a_day_later()
    {
        using var repository = new TreeFixture();
        var partial = Path.Combine(repository.Folder, ".partial");
        Assert.Throws<PowerCutException>(
            () => new RepositoryTree(new FailingFiles(repository.Files, 1), repository.Keys.Online).SetPlan(Plan, "one"u8.ToArray(), Now));
        Assert.Single(Directory.GetFiles(partial));

        repository.Tree.RefreshExpiry(Now); // the file is of today's clock, far before the repository's
        Assert.Empty(Directory.GetFiles(partial));
    }

    // What a device would act on: the releases it may take and the plan it follows, by metadata version where the content is the same.
    static string Seen(TreeClient device)
    {
        var releases = device.Trusted.TryGetTargets("releases", "targets", out var role) ? role.Signed.Files.Keys.Order(StringComparer.Ordinal) : null;
        foreach (var release in releases!)
            Assert.NotNull(device.Target(release));
        var plan = System.Text.Encoding.UTF8.GetString(device.Target(Plan)!);
        return $"{string.Join(' ', releases)} | {plan}";
    }
}
