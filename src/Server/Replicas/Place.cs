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
        if (!database.IsShared && options.BlobFolder is null)
            return folder;
        ITreeFiles small = database.IsShared ? new TreeTable(database) : folder;
        var (large, shown) = options.BlobFolder is { } elsewhere ? (new TreeFolder(elsewhere), elsewhere) : (folder, data.Repository);
        if (database.IsShared)
            BlobPlace.Check(small, large, shown);
        return new SplitTree(small, large);
    }
}
