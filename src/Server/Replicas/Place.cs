using Coppice.Server.Storage;
using Coppice.Server.Trust;

namespace Coppice.Server.Replicas;

/// <summary>Where a server's tree is: its small files beside the tables that servers share, else in the data folder; blobs and patches where the options say.</summary>
static class Place
{
    public static ITreeFiles Open(ControlPlaneOptions options, DataFolder data, Database database)
    {
        DataFolder.MakePrivate(data.Repository);
        var folder = new TreeFolder(data.Repository);
        if (!database.IsShared && options.BlobFolder is null && options.Bucket is null)
            return folder;
        ITreeFiles small = database.IsShared ? new TreeTable(database) : folder;
        var (large, shown) = ((ITreeFiles)folder, data.Repository);
        if (options.Bucket is { } bucket)
            (large, shown) = (new BucketFiles(bucket, Path.Combine(data.Path, "spool")), bucket.Place);
        else if (options.BlobFolder is { } elsewhere)
            (large, shown) = (new TreeFolder(elsewhere), elsewhere);
        if (database.IsShared)
            BlobPlace.Check(small, large, shown);
        return new SplitTree(small, large);
    }
}
